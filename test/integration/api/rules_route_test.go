package api_test

// routeRefusals are those of spec.route.
var routeRefusals = map[string]refusal{
	"a Gateway twice": {
		`{image: app, route: {gateways: [{name: a}, {name: a}]}}`,
		"spec.route.gateways", "route.gateways: each Gateway, or listener of one, may be named once",
	},
	"a Gateway and a listener of it": {
		`{image: app, route: {gateways: [{name: a}, {name: a, sectionName: https}]}}`,
		"spec.route.gateways", "route.gateways: where a Gateway is named more than once, each needs a sectionName",
	},
	"a Gateway of a wrong name": {
		`{image: app, route: {gateways: [{name: infra/public}]}}`,
		"spec.route.gateways[0].name", "route.gateways.name: must be the name of a Gateway",
	},
	"a listener of a wrong name": {
		`{image: app, route: {gateways: [{name: a, sectionName: "https:443"}]}}`,
		"spec.route.gateways[0].sectionName", "route.gateways.sectionName: must be the name of a listener",
	},
	"a host with a scheme": {
		`{image: app, route: {gateways: [{name: a}], hostnames: ["https://shop.example.com"]}}`,
		"spec.route.hostnames[0]", "route.hostnames: must be the name of a host in lower case",
	},
	"an address for a host": {
		`{image: app, route: {gateways: [{name: a}], hostnames: ["10.0.0.1"]}}`,
		"spec.route.hostnames[0]", "route.hostnames: must be the name of a host in lower case",
	},
	"a preview that no request can ask for": {
		`{image: app, route: {gateways: [{name: a}], preview: {}}}`,
		"spec.route.preview", "route.preview: needs a header, a cookie or a query",
	},
	"white space in a header's name": {
		`{image: app, route: {gateways: [{name: a}], preview: {header: {name: "X Preview", value: a}}}}`,
		"spec.route.preview.header.name", "route.preview.header.name: must be a header's name such as X-Preview",
	},
	"a header's value that ends with a space": {
		`{image: app, route: {gateways: [{name: a}], preview: {header: {name: X-Preview, value: "a "}}}}`,
		"spec.route.preview.header.value", "route.preview.header.value: must be printable ASCII",
	},
	"a cookie's name with a sign that separates": {
		`{image: app, route: {gateways: [{name: a}], preview: {cookie: {name: "a=b", value: a}}}}`,
		"spec.route.preview.cookie.name", "route.preview.cookie.name: must be a cookie's name",
	},
	"a cookie's value with a semicolon": {
		`{image: app, route: {gateways: [{name: a}], preview: {cookie: {name: a, value: "a;b"}}}}`,
		"spec.route.preview.cookie.value", "route.preview.cookie.value: must be printable ASCII",
	},
	"white space in a parameter's name": {
		`{image: app, route: {gateways: [{name: a}], preview: {query: {name: "a b", value: a}}}}`,
		"spec.route.preview.query.name", "route.preview.query.name: must be letters, digits",
	},
}
