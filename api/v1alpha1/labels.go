package v1alpha1

// Labels on the children of a GinService. The keys under apps.gin-operator.dev/ belong to the operator: it sets them on
// everything that it creates, and whatever else sets them is overwritten.
const (
	// LabelManagedBy is the standard label that names the tool which manages an object. The operator's caches hold only
	// objects where it has the value ManagedBy.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelName is the standard label with the name of the application: the GinService's name.
	LabelName = "app.kubernetes.io/name"
	// LabelInstance is the standard label that tells instances of an application apart: the GinService's name.
	LabelInstance = "app.kubernetes.io/instance"
	// LabelUID has the UID of the GinService. It is part of every selector, so that no pod of somebody else, nor of an earlier
	// GinService of the same name, can be selected by accident.
	LabelUID = "apps.gin-operator.dev/uid"
	// LabelColor has the colour, "blue" or "green", of a Deployment and its pods.
	LabelColor = "apps.gin-operator.dev/color"
	// LabelRevision has the revision that a pod, a ConfigMap or a ControllerRevision belongs to.
	LabelRevision = "apps.gin-operator.dev/revision"
	// LabelRole tells the two Services apart: "active" or "preview". Kubernetes copies it to their EndpointSlices.
	LabelRole = "apps.gin-operator.dev/role"

	// ManagedBy is the value of LabelManagedBy on every child.
	ManagedBy = "gin-operator"
	// RoleActive is the value of LabelRole on the Service that takes the traffic.
	RoleActive = "active"
	// RolePreview is the value of LabelRole on the Service of the colour that is being prepared.
	RolePreview = "preview"
)

// Annotations on a GinService, set by its users.
const (
	// AnnotationPromote approves a revision for `promotion: Manual`, or cuts short the wait of `autoPromotionSeconds`. Its value
	// is the revision as status.rollout.revision shows it; any other value approves nothing.
	AnnotationPromote = "apps.gin-operator.dev/promote"
	// AnnotationAbort stops the rollout of the revision that it names, as status.rollout.revision shows it: traffic stays on the colour
	// that served before, or goes back to it while that is still warm. While it is there, the revision is not rolled out again.
	AnnotationAbort = "apps.gin-operator.dev/abort"
	// AnnotationRetry starts a rollout that has failed or was aborted anew. Its value is the revision, or the revision and a suffix of a
	// dot and anything else, to tell one retry from the next; each value counts once.
	AnnotationRetry = "apps.gin-operator.dev/retry"
	// AnnotationRestartedAt replaces all pods whenever its value changes, as a rollout of the same code and configuration. Any value will
	// do; a time is the custom. Taking it away changes nothing.
	AnnotationRestartedAt = "apps.gin-operator.dev/restartedAt"
	// AnnotationRollback holds a revision from the history in place of spec, code and configuration together, for as long as it is there.
	// It approves its own promotion.
	AnnotationRollback = "apps.gin-operator.dev/rollback"
	// AnnotationChangeCause is recorded in the history with the revision that it came with.
	AnnotationChangeCause = "kubernetes.io/change-cause"
)

// Color is one of the two slots that a GinService's versions take turns in.
// +enum
type Color string

const (
	// Blue is the colour of the first version.
	Blue Color = "blue"
	// Green is the other one.
	Green Color = "green"
)

// Other returns the opposite colour. The opposite of anything that is not a colour is Blue.
func (c Color) Other() Color {
	if c == Blue {
		return Green
	}
	return Blue
}

// Valid reports whether c is Blue or Green.
func (c Color) Valid() bool { return c == Blue || c == Green }
