package api_test

// zeroRefusals are those of spec.autoscaling with minReplicas 0. What they refuse would go to zero, and never come back.
var zeroRefusals = map[string]refusal{
	"a minimum of no pods with what only pods can be measured by": {
		`{image: app, autoscaling: {minReplicas: 0, maxReplicas: 4, metrics: [{type: CPU, averageUtilization: 50}, {type: Pods, name: m, averageValue: 1}]}}`,
		"spec.autoscaling", "autoscaling.minReplicas: 0 needs a metric of type Object or External",
	},
	"a minimum of no pods with the default metric": {
		`{image: app, autoscaling: {minReplicas: 0, maxReplicas: 4}}`,
		"spec.autoscaling", "autoscaling.minReplicas: 0 needs a metric of type Object or External",
	},
	"a minimum of no pods, and a metric of these pods themselves": {
		`{image: app, autoscaling: {minReplicas: 0, maxReplicas: 4, metrics: [{type: Pods, name: m, averageValue: 1},
		  {type: Object, name: m, averageValue: 1, object: {apiVersion: apps.gin-operator.dev/v1alpha1, kind: GinService, name: tried}}]}}`,
		"spec.autoscaling.metrics", "autoscaling.metrics: minReplicas 0 needs a metric of type Object or External of something else than this GinService",
	},
	"a minimum of no pods that may only double": {
		`{image: app, autoscaling: {minReplicas: 0, maxReplicas: 4, metrics: [{type: External, name: m, averageValue: 1}],
		  behavior: {scaleUp: {policies: [{type: Percent, value: 100, periodSeconds: 15}]}}}}`,
		"spec.autoscaling", "autoscaling.behavior.scaleUp: with minReplicas 0 it must let the first pod start",
	},
	"a minimum of no pods with the lesser of the default policies": {
		`{image: app, autoscaling: {minReplicas: 0, maxReplicas: 4, metrics: [{type: External, name: m, averageValue: 1}], behavior: {scaleUp: {selectPolicy: Min}}}}`,
		"spec.autoscaling", "autoscaling.behavior.scaleUp: with minReplicas 0 it must let the first pod start",
	},
	"a minimum of no pods with the lesser of two policies": {
		`{image: app, autoscaling: {minReplicas: 0, maxReplicas: 4, metrics: [{type: External, name: m, averageValue: 1}],
		  behavior: {scaleUp: {selectPolicy: Min, policies: [{type: Pods, value: 4, periodSeconds: 15}, {type: Percent, value: 100, periodSeconds: 15}]}}}}`,
		"spec.autoscaling", "autoscaling.behavior.scaleUp: with minReplicas 0 it must let the first pod start",
	},
	"a minimum of no pods that never grows": {
		`{image: app, autoscaling: {minReplicas: 0, maxReplicas: 4, metrics: [{type: External, name: m, averageValue: 1}], behavior: {scaleUp: {selectPolicy: Disabled}}}}`,
		"spec.autoscaling", "autoscaling.behavior.scaleUp: with minReplicas 0 it must let the first pod start",
	},
}
