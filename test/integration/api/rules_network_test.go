package api_test

// networkRefusals are those of spec.network and spec.monitoring.
var networkRefusals = map[string]refusal{
	"a caller that is nobody": {
		`{image: app, network: {ingressFrom: [{}]}}`,
		"spec.network.ingressFrom[0]", "network: an entry of ingressFrom or metricsFrom needs a podSelector, a namespaceSelector or an ipBlock",
	},
	"a caller by its pods and by its address": {
		`{image: app, network: {metricsFrom: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}}`,
		"spec.network.metricsFrom[0]", "network: an entry of ingressFrom or metricsFrom has selectors or an ipBlock, not both",
	},
	"an address without a prefix": {
		`{image: app, network: {ingressFrom: [{ipBlock: {cidr: 10.0.0.1}}]}}`,
		"spec.network.ingressFrom[0].ipBlock.cidr", "network: a range of addresses must be written as 10.0.0.0/8 or 2001:db8::/32",
	},
	"a range that begins in its middle": {
		`{image: app, network: {ingressFrom: [{ipBlock: {cidr: 10.0.0.1/8}}]}}`,
		"spec.network.ingressFrom[0].ipBlock.cidr", "with no bit set beyond its prefix",
	},
	"an exception that is no range": {
		`{image: app, network: {ingressFrom: [{ipBlock: {cidr: 10.0.0.0/8, except: [nowhere]}}]}}`,
		"spec.network.ingressFrom[0].ipBlock.except[0]", "network: a range of addresses must be written as 10.0.0.0/8 or 2001:db8::/32",
	},
	"an exception from elsewhere": {
		`{image: app, network: {ingressFrom: [{ipBlock: {cidr: 10.0.0.0/8, except: [192.168.0.0/16]}}]}}`,
		"spec.network.ingressFrom[0].ipBlock", "network: each entry of ipBlock.except must lie within ipBlock.cidr",
	},
	"an exception of another family": {
		`{image: app, network: {ingressFrom: [{ipBlock: {cidr: 0.0.0.0/0, except: ["2001:db8::/32"]}}]}}`,
		"spec.network.ingressFrom[0].ipBlock", "network: each entry of ipBlock.except must lie within ipBlock.cidr",
	},
	"an exception that leaves nothing": {
		`{image: app, network: {metricsFrom: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}}`,
		"spec.network.metricsFrom[0].ipBlock", "must lie within ipBlock.cidr, and be smaller",
	},
	"labels for a PodMonitor that nobody asks for": {
		`{image: app, monitoring: {labels: {release: prometheus}}}`,
		"spec.monitoring", "monitoring.labels: only type: PodMonitor has them: set it, or remove labels",
	},
	"a label of a PodMonitor with a wrong key": {
		`{image: app, monitoring: {type: PodMonitor, labels: {"a b": c}}}`,
		"spec.monitoring.labels", "monitoring.labels: keys and values must be those of labels: letters, digits, '-', '_' and '.', at most 63 of them",
	},
	"a label of the operator on a PodMonitor": {
		`{image: app, monitoring: {type: PodMonitor, labels: {app.kubernetes.io/managed-by: helm}}}`,
		"spec.monitoring.labels", "monitoring.labels: keys under gin-operator.dev/ and app.kubernetes.io/name, instance and managed-by belong to the operator",
	},
}
