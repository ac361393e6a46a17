// One dashboard, drawn with Grafana's own panels from the answers of a real Prometheus.
//
// `window.drawn` holds `dashboard` (as shipped), `from` and `to` (milliseconds) and `answers`: for each
// panel's id, for each of its targets, the series of a range query. When every panel is on the page,
// `document.title` is "drawn"; a panel of a kind that is not known here is an error.

import { ThemeContext, createTheme, dateTime } from '@grafana/data';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import React from 'react';
import { createRoot } from 'react-dom/client';

import { framesOf } from './frames.js';
import { Panel } from './panel.jsx';

// The grid of Grafana's dashboards: 24 columns; a line has 30 pixels and a gap of 8.
const WIDTH = 1600;
const GAP = 8;
const COLUMN = WIDTH / 24;
const LINE = 30 + GAP;

const theme = createTheme({ colors: { mode: 'dark' } });
const { dashboard, answers, from, to } = window.drawn;
const timeRange = {
  from: dateTime(from),
  to: dateTime(to),
  raw: { from: dateTime(from), to: dateTime(to) },
};

function Placed({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const [width, height] = [w * COLUMN - GAP, h * LINE - GAP];
  const style = { position: 'absolute', left: x * COLUMN + GAP / 2, top: y * LINE + GAP, width, height };
  if (panel.type === 'row') {
    return <div style={{ ...style, ...theme.typography.h4, color: theme.colors.text.primary }}>{panel.title}</div>;
  }
  const frames = framesOf(panel, answers[panel.id] ?? [], theme);
  return (
    <div style={style}>
      <PanelChrome title={panel.title} width={width} height={height} padding={panel.type === 'table' ? 'none' : 'md'}>
        {(innerWidth, innerHeight) => (
          <Panel
            panel={panel}
            frames={frames}
            width={innerWidth}
            height={innerHeight}
            timeRange={timeRange}
            theme={theme}
          />
        )}
      </PanelChrome>
    </div>
  );
}

function Page() {
  React.useEffect(() => {
    // uPlot draws in the frame after the next.
    requestAnimationFrame(() => requestAnimationFrame(() => (document.title = 'drawn')));
  });
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ position: 'relative', width: WIDTH }}>
        {dashboard.panels.map((panel) => (
          <Placed key={panel.id} panel={panel} />
        ))}
      </div>
    </ThemeContext.Provider>
  );
}

Object.assign(document.body.style, { background: theme.colors.background.canvas, margin: 0 });
createRoot(document.getElementById('page')).render(<Page />);
