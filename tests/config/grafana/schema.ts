// What a dashboard of ours may be: Grafana's own types, one panel kind at a time, without the freedom
// that its `Panel` leaves (any options, any query). Nothing that is not named here is allowed.

import type { Dashboard, Panel, RowPanel } from './node_modules/@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen';
import type * as gauge from './node_modules/@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen';
import type * as stat from './node_modules/@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from './node_modules/@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from './node_modules/@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as timeseries from './node_modules/@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// The schema's enums as the values that JSON has.
type Plain<T> = T extends string
  ? `${T}`
  : T extends (infer E)[]
    ? Plain<E>[]
    : T extends object
      ? { [K in keyof T]: Plain<T[K]> }
      : T;

// A query of Grafana's Prometheus data source.
interface Query {
  refId: string;
  expr: string;
  legendFormat: string;
  instant?: boolean;
  range?: boolean;
  format?: 'table';
}

type FieldConfig = NonNullable<Plain<Panel>['fieldConfig']>;

type Of<Kind extends string, Options, Custom> = Omit<
  Plain<Panel>,
  'type' | 'options' | 'targets' | 'fieldConfig'
> & {
  type: Kind;
  options: Plain<Options>;
  targets?: Query[];
  fieldConfig?: Omit<FieldConfig, 'defaults'> & {
    defaults: Omit<FieldConfig['defaults'], 'custom'> & { custom?: Plain<Custom> };
  };
};

type Ours =
  | Of<'gauge', gauge.Options, never>
  | Of<'stat', stat.Options, never>
  | Of<'table', table.Options, never>
  | Of<'text', text.Options, never>
  | Of<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | Plain<RowPanel>;

export type Checked = Omit<Plain<Partial<Dashboard>>, 'panels'> & { panels: Ours[] };
