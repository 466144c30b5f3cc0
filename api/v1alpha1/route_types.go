package v1alpha1

// Route makes an HTTPRoute of the Gateway API: requests for its hosts that the Gateways take go to the active Service, and those with a
// mark of their own to the preview Service.
type Route struct {
	// gateways are the Gateways that the route attaches to. They are in the namespace of the GinService, or all in the one that the
	// operator was started with (--gateway-namespace): a Gateway says itself from which namespaces it takes routes.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, b.name == a.name && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="route.gateways: each Gateway, or listener of one, may be named once"
	// +kubebuilder:validation:XValidation:rule="self.all(a, has(a.sectionName) || self.exists_one(b, b.name == a.name))",message="route.gateways: where a Gateway is named more than once, each needs a sectionName"
	Gateways []RouteGateway `json:"gateways,omitempty"`

	// hostnames are the hosts whose requests are routed, such as "shop.example.com" or "*.example.com". Default: all for which the Gateways
	// listen.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Hostnames []Hostname `json:"hostnames,omitempty"`

	// preview sends requests that carry a mark to the preview Service: the new version while there is one, else the one that serves.
	// Default: none are.
	// +optional
	Preview *RoutePreview `json:"preview,omitempty"`
}

// Hostname is the name of a host, maybe with a wildcard as its first label (RFC 1123, less addresses).
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') && !self.matches('^[0-9.]+$')",message="route.hostnames: must be the name of a host in lower case, such as shop.example.com or *.example.com, with no scheme, port or path"
type Hostname string

// RouteGateway names a Gateway.
type RouteGateway struct {
	// name is the name of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="route.gateways.name: must be the name of a Gateway: lower-case letters, digits, '-' and '.'"
	Name string `json:"name,omitempty"`

	// sectionName is the name of one of its listeners. Default: all that take the route.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="route.gateways.sectionName: must be the name of a listener: lower-case letters, digits, '-' and '.'"
	SectionName *string `json:"sectionName,omitempty"`
}

// RoutePreview are the marks of requests for the preview. A request that carries any one of them goes there.
//
// +kubebuilder:validation:XValidation:rule="has(self.header) || has(self.cookie) || has(self.query)",message="route.preview: needs a header, a cookie or a query, by which to tell the requests that go to the preview"
type RoutePreview struct {
	// header is a header and its value. Every Gateway supports it.
	// +optional
	Header *RouteHeader `json:"header,omitempty"`

	// cookie is a cookie and its value. It is matched by a regular expression on the header Cookie, which not every Gateway supports.
	// +optional
	Cookie *RouteCookie `json:"cookie,omitempty"`

	// query is a parameter of the URL's query and its value. Most Gateways support it.
	// +optional
	Query *RouteQuery `json:"query,omitempty"`
}

// RouteHeader is a header of a request.
type RouteHeader struct {
	// name is the name of the header. Upper and lower case are the same (RFC 9110, section 5.1).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9!#$%&\\'*+.^_`|~-]+$')",message="route.preview.header.name: must be a header's name such as X-Preview: letters, digits and !#$%&'*+-.^_`|~"
	Name string `json:"name,omitempty"`

	// value is the value that the header must have.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]([ -~]*[!-~])?$')",message="route.preview.header.value: must be printable ASCII, with no space at either end"
	Value string `json:"value,omitempty"`
}

// RouteCookie is a cookie of a request.
type RouteCookie struct {
	// name is the name of the cookie (RFC 6265, section 4.1.1).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9!#$%&\\'*+.^_`|~-]+$')",message="route.preview.cookie.name: must be a cookie's name: letters, digits and !#$%&'*+-.^_`|~"
	Name string `json:"name,omitempty"`

	// value is the value that the cookie must have.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-+--:<-[^-~]+$')",message="route.preview.cookie.value: must be printable ASCII with no space, comma, semicolon, quotation mark or backslash"
	Value string `json:"value,omitempty"`
}

// RouteQuery is a parameter of a URL's query.
type RouteQuery struct {
	// name is the name of the parameter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9!#$%&\\'*+.^_`|~-]+$')",message="route.preview.query.name: must be letters, digits and !#$%&'*+-.^_`|~"
	Name string `json:"name,omitempty"`

	// value is the value that the parameter must have, as it is once decoded.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
}
