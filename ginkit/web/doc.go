// Package web is what answers need in front of browsers: compression, the headers that keep browsers from being used against a service,
// and leave for pages of other origins to call it.
//
//	gzip, err := web.Gzip(web.GzipOptions{})
//	headers, err := web.SecurityHeaders(web.SecurityOptions{})
//	cors, err := web.CORS(web.CORSOptions{Origins: []string{"https://app.example.com"}})
//	engine.Use(gzip, headers, cors)
//
// They come before what asks for a token: a preflight has none. What is set up wrongly is an error of the constructor, which names the
// field and what to write in it; nothing here panics.
package web
