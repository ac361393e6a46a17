{{- define "voxprobe.labels" -}}
app.kubernetes.io/name: voxprobe
{{- end }}
{{- define "voxprobe.relabelings" -}}
# The rules and dashboards name nodes by `instance` and sum by `cluster`.
- sourceLabels: [__meta_kubernetes_pod_node_name]
  targetLabel: instance
- targetLabel: job
  replacement: voxprobe
- targetLabel: cluster
  replacement: {{ .Values.monitor.cluster }}
{{- end }}
