{{- /* The pod of the deployment and of the job. A dict: root (the chart's context), once (one resync, then the end). */ -}}
{{- define "moontide.pod" -}}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 60
containers:
  - name: moontide
    image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag }}"
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args:
      - run
      {{- range .root.Values.bundles }}
      - {{ . | quote }}
      {{- end }}
      {{- range .root.Values.options }}
      - {{ . | quote }}
      {{- end }}
    env:
      {{- range $name, $value := .root.Values.env }}
      {{- if not (and $.once (hasPrefix "OCEAN__EVENT_LISTENER__" $name)) }}
      - name: {{ $name }}
        value: {{ $value | quote }}
      {{- end }}
      {{- end }}
      {{- if .once }}
      - name: OCEAN__EVENT_LISTENER__TYPE
        value: ONCE
      {{- end }}
    envFrom:
      - secretRef:
          name: {{ .root.Values.existingSecret | default .root.Release.Name }}
    {{- if not .once }}
    ports:
      - name: http
        containerPort: {{ .root.Values.ports.public }}
      - name: admin
        containerPort: {{ .root.Values.ports.admin }}
    livenessProbe:
      httpGet:
        path: /health/live
        port: admin
      periodSeconds: 10
      failureThreshold: 6
    readinessProbe:
      httpGet:
        path: /health/ready
        port: admin
      periodSeconds: 10
    {{- end }}
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities:
        drop: [ALL]
    resources:
      {{- toYaml .root.Values.resources | nindent 6 }}
    volumeMounts:
      - name: state
        mountPath: /var/lib/moontide
      {{- with .root.Values.volumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: state
    {{- if .root.Values.state.claim }}
    persistentVolumeClaim:
      claimName: {{ .root.Values.state.claim }}
    {{- else }}
    emptyDir:
      sizeLimit: {{ .root.Values.state.size }}
    {{- end }}
  {{- with .root.Values.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
