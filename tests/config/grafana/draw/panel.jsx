// A panel's inside.

import { VizOrientation, getFieldDisplayValues, renderTextPanelMarkdown } from '@grafana/data';
import {
  BigValue,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueTextMode,
  Gauge,
  Table,
  TimeSeries,
  VizRepeater,
} from '@grafana/ui';
import React from 'react';

import './dial.js';

// What one value or several are made of, for panels that show numbers.
function valuesOf({ panel, frames, theme }) {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: frames,
    sparkline: panel.options.graphMode === 'area',
    timeZone: 'utc',
  });
}

function Numbers({ all, draw }) {
  const { panel, width, height } = all;
  return (
    <VizRepeater
      getValues={() => valuesOf(all)}
      renderValue={({ value, width, height, count }) => draw(value, width, height, count)}
      orientation={panel.options.orientation ?? VizOrientation.Auto}
      source={all.frames}
      width={width}
      height={height}
      renderCounter={0}
    />
  );
}

export function Panel(all) {
  const { panel, frames, width, height, timeRange, theme } = all;
  if (frames.every((frame) => frame.length === 0) && panel.type !== 'text') {
    return <div style={{ color: theme.colors.text.secondary, textAlign: 'center' }}>No data</div>;
  }
  switch (panel.type) {
    case 'timeseries':
      return (
        <TimeSeries
          frames={frames}
          width={width}
          height={height}
          timeRange={timeRange}
          timeZone="utc"
          legend={panel.options.legend}
          options={panel.options}
        />
      );
    case 'gauge':
      return (
        <Numbers
          all={all}
          draw={(value, width, height) => (
            <Gauge
              value={value.display}
              field={value.field}
              showThresholdLabels={panel.options.showThresholdLabels}
              showThresholdMarkers={panel.options.showThresholdMarkers}
              orientation={panel.options.orientation}
              width={width}
              height={height}
              theme={theme}
            />
          )}
        />
      );
    case 'stat':
      return (
        <Numbers
          all={all}
          draw={(value, width, height, count) => (
            <BigValue
              value={value.display}
              sparkline={value.sparkline}
              count={count}
              colorMode={panel.options.colorMode ?? BigValueColorMode.Value}
              graphMode={panel.options.graphMode ?? BigValueGraphMode.None}
              textMode={panel.options.textMode ?? BigValueTextMode.Auto}
              justifyMode={panel.options.justifyMode}
              width={width}
              height={height}
              theme={theme}
            />
          )}
        />
      );
    case 'table':
      return <Table data={frames[0]} width={width} height={height} timeRange={timeRange} />;
    case 'text': {
      const html = renderTextPanelMarkdown(panel.options.content);
      return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: html }} />;
    }
    default:
      throw new Error(`${panel.title}: no ${panel.type} here`);
  }
}
