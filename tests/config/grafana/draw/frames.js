// From Prometheus' answers to Grafana's data frames, as its data source and panels make them.

import {
  FieldColorModeId,
  FieldConfigOptionsRegistry,
  FieldType,
  ThresholdsMode,
  applyFieldOverrides,
  toDataFrame,
} from '@grafana/data';

// What a panel has where its dashboard says nothing: lines are told apart, values are judged.
const DEFAULTS = {
  color: { mode: FieldColorModeId.Thresholds },
  thresholds: { mode: ThresholdsMode.Absolute, steps: [{ color: 'green', value: -Infinity }] },
};
const OF_LINES = {
  ...DEFAULTS,
  color: { mode: FieldColorModeId.PaletteClassic },
  custom: { pointSize: 5 },
};

// What a dashboard may say of one series alone.
const OF_ONE = new FieldConfigOptionsRegistry(() => [
  { id: 'color', path: 'color', name: 'color', process: (value) => value, shouldApply: () => true },
]);

// `{{label}}` in a legend's format.
function named(legend, metric) {
  return legend.replace(/\{\{\s*([^}\s]+)\s*\}\}/g, (_, label) => metric[label] ?? '');
}

function frameOf(series, target, config) {
  const { metric, values } = series;
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: values.map(([seconds]) => seconds * 1000) },
      {
        name: 'Value',
        type: FieldType.number,
        labels: metric,
        config: { ...config(), displayNameFromDS: named(target.legendFormat, metric) },
        values: values.map(([, value]) => Number(value)),
      },
    ],
  });
}

// The last value of each series with its labels, one line each: what an instant query in table format gives.
function tableOf(series, config) {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const text = (name) => ({
    name,
    type: FieldType.string,
    config: config(),
    values: series.map(({ metric }) => metric[name] ?? ''),
  });
  const value = {
    name: 'Value',
    type: FieldType.number,
    config: config(),
    values: series.map(({ values }) => Number(values.at(-1)[1])),
  };
  return toDataFrame({ fields: [...labels.map(text), value] });
}

// Grafana's transformation "organize": columns hidden, renamed and put in order.
function organized(frame, { options }) {
  const { excludeByName = {}, renameByName = {}, indexByName = {} } = options;
  const place = ({ name }) => indexByName[name] ?? Infinity;
  const fields = frame.fields
    .filter(({ name }) => !excludeByName[name])
    .sort((one, other) => place(one) - place(other))
    .map((field) => ({ ...field, name: renameByName[field.name] ?? field.name }));
  return { ...frame, fields };
}

export function framesOf(panel, answers, theme) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  // Thresholds begin at minus infinity, which JSON writes as null.
  const config = () => {
    const usual = panel.type === 'timeseries' ? OF_LINES : DEFAULTS;
    const own = { ...usual, ...structuredClone(defaults) };
    own.custom = { ...usual.custom, ...own.custom };
    const [first] = own.thresholds.steps;
    first.value = first.value ?? -Infinity;
    return own;
  };
  let data;
  if (panel.type === 'table') {
    data = [tableOf(answers.flat(), config)];
    for (const transformation of panel.transformations ?? []) {
      if (transformation.id !== 'organize') {
        throw new Error(`${panel.title}: no transformation ${transformation.id} here`);
      }
      data = data.map((frame) => organized(frame, transformation));
    }
  } else {
    const targets = panel.targets ?? [];
    data = targets.flatMap((target, index) => answers[index].map((one) => frameOf(one, target, config)));
  }
  return applyFieldOverrides({
    data,
    fieldConfig: { defaults: {}, overrides },
    fieldConfigRegistry: OF_ONE,
    replaceVariables: (text) => text,
    timeZone: 'utc',
    theme,
  });
}
