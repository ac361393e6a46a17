// A panel's inside.

import { VizOrientation, getFieldDisplayValues } from '@grafana/data';
import { BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, Table, TimeSeries, VizRepeater } from '@grafana/ui';
import React from 'react';

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
    case 'stat':
    // The dial of a gauge needs a script of Grafana's server: its value alone is drawn.
    case 'gauge':
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
    case 'text':
      return <pre style={{ whiteSpace: 'pre-wrap', color: theme.colors.text.primary }}>{panel.options.content}</pre>;
    default:
      return (
        <div style={{ color: theme.colors.text.secondary }}>
          Grafana draws its {panel.type} in its server's pages only: not drawn here.
        </div>
      );
  }
}
