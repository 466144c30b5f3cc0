package controllers

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestOptionalKindsAreLookedForAsLittleAsPossible(t *testing.T) {
	there, failure := false, error(nil)
	questions, watched := 0, 0
	informer := controllertest.NewFakeInformer()
	found := &informertest.FakeInformers{Scheme: gatewayScheme(t), InformersByGVK: map[schema.GroupVersionKind]toolscache.SharedIndexInformer{
		{Group: gatewayv1.GroupName, Version: "v1", Kind: "HTTPRoute"}: informer,
	}}
	kind := &optionalKind{
		object:   &gatewayv1.HTTPRoute{},
		discover: func() (bool, error) { questions++; return there, failure },
		cache:    found, watch: func() error { watched++; return nil },
	}
	now := start
	expect := func(what string, wanted bool, want kindState, asked int) {
		t.Helper()
		got, err := kind.state(t.Context(), wanted, now)
		if got != want || questions != asked || !errors.Is(err, failure) {
			t.Errorf("%s: %d after %d questions, %v; want %d after %d", what, got, questions, err, want, asked)
		}
	}
	expect("the first pass", false, kindMissing, 1)
	now = now.Add(time.Hour)
	expect("nobody wants a route", false, kindMissing, 1)
	expect("somebody wants one", true, kindMissing, 2)
	expect("somebody else does", true, kindMissing, 2)
	now = now.Add(kindAskInterval)
	failure = errors.New("the API server is away")
	expect("there is no answer", true, kindUnread, 3)
	there, failure = true, nil
	expect("they are there", false, kindUnread, 4)
	expect("the cache is filling", true, kindUnread, 4)
	informer.Synced()
	expect("the cache is full", true, kindRead, 4)
	kind.lost(t.Context(), now)
	expect("they are gone", true, kindMissing, 4)
	if watched != 1 {
		t.Errorf("they are watched %d times", watched)
	}
}

func gatewayScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := gatewayv1.Install(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}
