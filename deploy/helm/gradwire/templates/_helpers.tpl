{{/* Short enough that "-workers-999" after it is a DNS label still. */}}
{{- define "gradwire.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "gradwire.workers" -}}
{{ include "gradwire.name" . }}-workers
{{- end }}

{{- define "gradwire.selector" -}}
app.kubernetes.io/name: gradwire
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gradwire.labels" -}}
{{ include "gradwire.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "gradwire.tlsSecret" -}}
{{ required "a worker beyond loopback needs TLS; no Secret is named; give tls.secretName, a Secret with tls.crt, tls.key and ca.crt" .Values.tls.secretName }}
{{- end }}

{{- define "gradwire.tokensSecret" -}}
{{ required "a worker beyond loopback needs tokens; no Secret is named; give tokens.secretName, a Secret with tokens.toml (gradwire token new)" .Values.tokens.secretName }}
{{- end }}

{{/* The gRPC health check of the pod itself, through TLS, which Kubernetes' own grpc probe does not speak. A shell, since probes
     expand no $(NAME). */}}
{{- define "gradwire.probe" -}}
exec:
  command:
    - sh
    - -c
    - exec gradwire health "$GRADWIRE_SELF" --seconds 5
timeoutSeconds: 8
{{- end }}
