package v1alpha1

// Condition types of a GinService. They follow the kstatus rules, so that kubectl wait, Flux and Argo CD understand them:
// Ready is always present, Reconciling, Stalled and NameConflict only while they are True.
const (
	// ConditionReady is True when the spec that was observed last serves all traffic with all its replicas.
	ConditionReady = "Ready"
	// ConditionAvailable is True while the active Service has a ready pod, whichever version it runs. It stays True through a
	// healthy rollout, and through a failed one.
	ConditionAvailable = "Available"
	// ConditionProgressing tells of the rollout: its reason is the step, its message what that step waits for.
	ConditionProgressing = "Progressing"
	// ConditionReconciling is present, and True, while the operator is working towards the spec.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is present, and True, when the operator cannot get further without somebody's help.
	ConditionStalled = "Stalled"
	// ConditionAutoscalingActive repeats the HorizontalPodAutoscaler's ScalingActive, and is False as well while that has a value of some of
	// its metrics alone. It is present only with spec.autoscaling and has no part in Ready: a metric that is missing for a moment is no outage.
	ConditionAutoscalingActive = "AutoscalingActive"
	// ConditionRouteAccepted is True when every Gateway of spec.route takes the HTTPRoute. It is present only with spec.route, and has no
	// part in Ready: the Services serve whether or not a Gateway sends them requests.
	ConditionRouteAccepted = "RouteAccepted"
	// ConditionMonitored is True when the PodMonitor of spec.monitoring is there. It is present only with type PodMonitor, and has no part in
	// Ready: the Services serve whether or not somebody measures. What Prometheus makes of a PodMonitor, nothing in the cluster tells.
	ConditionMonitored = "Monitored"
	// ConditionNameConflict is present, and True, while the name of a child is taken by something that this GinService does not
	// control. The operator leaves that object alone.
	ConditionNameConflict = "NameConflict"
)

// Reasons of conditions. The reason of Progressing is the RolloutStep while a rollout is under way.
const (
	// ReasonServing says that the wanted revision takes all traffic with all replicas.
	ReasonServing = "Serving"
	// ReasonScaledToZero says that no replica is wanted, and none runs.
	ReasonScaledToZero = "ScaledToZero"
	// ReasonScaling says that the wanted revision serves, and that replicas are still starting.
	ReasonScaling = "Scaling"
	// ReasonRollingOut says that the wanted revision does not take the traffic yet.
	ReasonRollingOut = "RollingOut"
	// ReasonEndpointsReady says that the active Service has ready endpoints.
	ReasonEndpointsReady = "EndpointsReady"
	// ReasonNoReadyEndpoints says that no pod is ready to take traffic.
	ReasonNoReadyEndpoints = "NoReadyEndpoints"
	// ReasonProgressDeadlineExceeded says that the new revision did not become ready within spec.progressDeadlineSeconds.
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	// ReasonAborted says that the rollout was stopped by the annotation AnnotationAbort, or by spec.strategy.blueGreen.previewTTLSeconds.
	ReasonAborted = "Aborted"
	// ReasonAnalysisFailed says that the rollout was stopped, or traffic taken back, by spec.strategy.blueGreen.analysis or postPromotionAnalysis.
	ReasonAnalysisFailed = "AnalysisFailed"
	// ReasonComplete says that no rollout is under way.
	ReasonComplete = "Complete"
	// ReasonSuspended says that spec.suspend is set and that the operator writes nothing but status.
	ReasonSuspended = "Suspended"
	// ReasonNameTaken says that a child's name belongs to something else.
	ReasonNameTaken = "NameTaken"
	// ReasonConfigTooLarge says that spec.config does not fit into a ConfigMap.
	ReasonConfigTooLarge = "ConfigTooLarge"
	// ReasonUnknownRevision says that the annotation AnnotationRollback names no revision of the history.
	ReasonUnknownRevision = "UnknownRevision"
	// ReasonRejected says that the API server refuses a child that the spec asks for.
	ReasonRejected = "Rejected"
	// ReasonContested says that something else keeps changing a child back, so that it is repaired at a slow rate.
	ReasonContested = "Contested"
	// ReasonReconcileError says that writing to the API server keeps failing, and is tried again.
	ReasonReconcileError = "ReconcileError"
	// ReasonPodsNotStarting says that pods of the wanted revision can't start; the message says why.
	ReasonPodsNotStarting = "PodsNotStarting"
	// ReasonAutoscalingUnknown says that the HorizontalPodAutoscaler has not reported yet.
	ReasonAutoscalingUnknown = "AutoscalingUnknown"
	// ReasonMetricMissing says that the HorizontalPodAutoscaler has no value of one of several metrics, so that it takes no pods away.
	ReasonMetricMissing = "MetricMissing"
	// ReasonAccepted says that all Gateways take the HTTPRoute.
	ReasonAccepted = "Accepted"
	// ReasonNotAccepted says that a Gateway does not take the HTTPRoute, or can't resolve what it names; the message says why.
	ReasonNotAccepted = "NotAccepted"
	// ReasonGatewayUnknown says that no controller has reported on the HTTPRoute for one of the Gateways, or that it can't be read yet.
	ReasonGatewayUnknown = "GatewayUnknown"
	// ReasonGatewayAPIMissing says that the cluster has no HTTPRoutes.
	ReasonGatewayAPIMissing = "GatewayAPIMissing"
	// ReasonPodMonitorWritten says that the PodMonitor is there as spec.monitoring asks for it.
	ReasonPodMonitorWritten = "PodMonitorWritten"
	// ReasonPodMonitorUnknown says that the PodMonitor is not written yet, or can't be read yet.
	ReasonPodMonitorUnknown = "PodMonitorUnknown"
	// ReasonPodMonitorsMissing says that the cluster has no PodMonitors.
	ReasonPodMonitorsMissing = "PodMonitorsMissing"
)
