// Command plan prints how the rollout of a manifest would go, step by step, without a cluster. It asks the operator's own planner, and
// plays the cluster itself: pods take a while to become ready, and everything else happens at once. It does not validate: what the API
// server would refuse is planned all the same.
//
//	go run ./hack/plan v1.yaml v2.yaml
//	go run ./hack/plan -ready 20s -at 2m:promote v1.yaml v2.yaml
//	go run ./hack/plan -broken v1.yaml v2.yaml
//	go run ./hack/plan -at 1m:rollback v1.yaml v2.yaml
//
// The first manifest is what serves; each of the others is applied when the rollout before it has ended. The history that the annotation rollback
// takes a revision from is that of the manifests before.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
)

// options are the command line.
type options struct {
	ready   time.Duration
	broken  bool
	actions []action
	files   []string
}

// action is what somebody does a while after the last manifest was applied.
type action struct {
	after    time.Duration
	what     string
	value    int32  // of scale
	revision string // of rollback, or "" for the one that served before
}

func main() {
	if err := run(os.Args[1:], os.Stdout, time.Now().Truncate(time.Second)); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "plan:", err)
		os.Exit(1)
	}
}

// run plays what the arguments say, from a time on.
func run(args []string, out io.Writer, start time.Time) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	c := newCluster(out, start, o.ready)
	for i, file := range o.files {
		gs, err := load(file)
		if err != nil {
			return err
		}
		last := i == len(o.files)-1
		revision := resources.RevisionOf(gs.Spec.WorkloadSpec).Name
		c.say("you", "apply %s: revision %s", file, revision)
		if last && o.broken {
			c.broken = revision
		}
		c.apply(gs)
		var actions []action
		if last {
			actions = o.actions
		}
		if err := c.play(actions); err != nil {
			return err
		}
	}
	return nil
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("plan", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: plan [flags] MANIFEST [MANIFEST...]\n\nprints how the rollout of the last manifest would go, where the ones before it were applied first")
		flags.PrintDefaults()
	}
	flags.DurationVar(&o.ready, "ready", 5*time.Second, "How long a pod takes to become ready.")
	flags.BoolVar(&o.broken, "broken", false, "Pods of the last manifest never become ready.")
	flags.Func("at", "DURATION:ACTION, as often as you like: what somebody does so long after the last manifest was applied. "+
		"ACTION is promote, abort, retry, restart, scale=N, rollback=REVISION, or rollback: to the latest revision that has served, "+
		"other than the one that is wanted.", func(text string) error {
		a, err := parseAction(text)
		o.actions = append(o.actions, a)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.files = flags.Args(); len(o.files) == 0 {
		return o, errors.New("name at least one file with a GinService: see -help")
	}
	if o.ready < 0 {
		return o, errors.New("-ready must not be negative")
	}
	return o, nil
}

func parseAction(text string) (action, error) {
	when, what, found := strings.Cut(text, ":")
	after, err := time.ParseDuration(when)
	if !found || err != nil || after < 0 {
		return action{}, fmt.Errorf("%q is not of the form DURATION:ACTION, such as 2m:promote", text)
	}
	what, value, valued := strings.Cut(what, "=")
	switch what {
	case "promote", "abort", "retry", "restart":
		if !valued {
			return action{after: after, what: what}, nil
		}
	case "rollback":
		if !valued || value != "" {
			return action{after: after, what: what, revision: value}, nil
		}
	case "scale":
		if n, err := strconv.ParseInt(value, 10, 32); err == nil && n >= 0 {
			return action{after: after, what: what, value: int32(n)}, nil
		}
	}
	return action{}, fmt.Errorf("%q: the action must be promote, abort, retry, restart, scale=N, rollback, or rollback=REVISION", text)
}

// load reads the GinService of a file. What the API server would fill in, the planner knows.
func load(file string) (*v1alpha1.GinService, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if text, err = onlyDocument(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	gs := &v1alpha1.GinService{}
	if err := yaml.UnmarshalStrict(text, gs); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if gs.Kind != resources.Kind || gs.APIVersion != resources.APIVersion {
		return nil, fmt.Errorf("%s: it is %s %s: one document of kind %s, apiVersion %s, is needed", file, gs.APIVersion, gs.Kind, resources.Kind, resources.APIVersion)
	}
	if gs.Spec.Image == "" {
		return nil, fmt.Errorf("%s: spec.image is missing", file)
	}
	return gs, nil
}

// onlyDocument returns the one document of a file that is not empty. Of several, the YAML library would read the first and say nothing.
func onlyDocument(text []byte) ([]byte, error) {
	var found []byte
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) && found == nil {
			return nil, fmt.Errorf("it is empty: one document of kind %s, apiVersion %s, is needed", resources.Kind, resources.APIVersion)
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		var content any
		switch err := yaml.Unmarshal(document, &content); {
		case err != nil:
			return nil, err
		case content == nil:
		case found != nil:
			return nil, errors.New("it has more than one document: give each GinService a file of its own, and leave out all else")
		default:
			found = document
		}
	}
}
