package main

import "github.com/gin-operator/gin-operator/ginkit"

// serveGinkit is a service with all that ginkit has without being asked. It listens where PORT says, as in a pod.
func serveGinkit(s settings) error {
	kit, err := newKit(s)
	if err != nil {
		return err
	}
	return kit.Run()
}

func newKit(s settings, opts ...ginkit.Option) (*ginkit.Kit, error) {
	kit, err := ginkit.New(opts...)
	if err != nil {
		return nil, err
	}
	kit.Engine.GET(s.path, s.answer)
	return kit, nil
}
