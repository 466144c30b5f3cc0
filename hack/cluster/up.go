package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	apiTimeout        = 60 * time.Second
	nodeTimeout       = 60 * time.Second
	containerdTimeout = 30 * time.Second
)

const defaultName = "gin"

func upCommand(ctx context.Context, l layout, arguments []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	name := flags.String("name", "", "name of the node and the kubeconfig's context (default \""+defaultName+"\")")
	audit := flags.Bool("audit-log", false, "write every request's metadata to .cluster/logs/audit.log")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *name != "" && !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`).MatchString(*name) {
		return fmt.Errorf("--name %q: want lower case letters, digits and dashes", *name)
	}
	if err := checkRequirements(l); err != nil {
		return err
	}
	release, err := lockCluster(ctx, l)
	if err != nil {
		return err
	}
	defer release()
	if err := build(ctx, l, []string{groupControlPlane, groupNode}, os.Stdout); err != nil {
		return err
	}
	if err := installRuntimePackages(ctx, os.Stdout); err != nil {
		return err
	}
	start := time.Now()
	if err := bringUp(ctx, l, *name, *audit); err != nil {
		return err
	}
	fmt.Printf("ready after %.1f s\n\n", time.Since(start).Seconds())
	fmt.Printf("  export KUBECONFIG=%s\n  export PATH=%s:$PATH\n  kubectl get nodes\n", l.kubeconfig(), l.binDir())
	return nil
}

// bringUp starts what does not run: everything, or the parts of a working cluster that have died.
func bringUp(ctx context.Context, l layout, name string, audit bool) error {
	s, exists, err := l.loadSettings()
	if err != nil {
		return err
	}
	if exists && s.Complete {
		if holder, alive := namespaceHolder(l); alive {
			return keepUp(ctx, l, s, holder, name, audit)
		}
		fmt.Println("the cluster's processes are gone (a restart of the machine?): starting a new one")
	}
	if err := cleanUp(l, false); err != nil {
		return fmt.Errorf("removing what an earlier run left: %w", err)
	}
	s = settings{Name: name, AuditLog: audit, ProxyMode: proxyMode()}
	if s.Name == "" {
		s.Name = defaultName
	}
	if err := startFresh(ctx, l, s); err != nil {
		fmt.Fprintln(os.Stderr, "starting failed; removing what was started, the logs stay in "+l.logs())
		return errors.Join(err, cleanUp(l, true))
	}
	return nil
}

// keepUp starts what is missing of a cluster that once worked.
func keepUp(ctx context.Context, l layout, s settings, holder process, name string, audit bool) error {
	if name != "" && name != s.Name || audit && !s.AuditLog {
		return fmt.Errorf("the running cluster was started with other options (name %s, audit log %t): run `bin/cluster down` first",
			s.Name, s.AuditLog)
	}
	var repaired bool
	if _, alive := l.recorded(partForwarder); !alive {
		fmt.Println("restarting", partForwarder)
		if err := startForwarder(l, &s, &holder); err != nil {
			return err
		}
		repaired = true
	}
	for _, p := range allParts(l, s) {
		if _, alive := l.recorded(p.name); alive {
			continue
		}
		fmt.Println("restarting", p.name)
		if err := startPart(l, holder, p); err != nil {
			return err
		}
		if p.name == "etcd" {
			if err := awaitEtcd(ctx, l); err != nil {
				return err
			}
		}
		repaired = true
	}
	if err := awaitCluster(ctx, l, s); err != nil {
		return fmt.Errorf("the cluster does not work (`bin/cluster down`, then `up`, makes a new one): %w", err)
	}
	if !repaired {
		fmt.Println("the cluster is running already")
	}
	return nil
}

// startFresh starts a cluster where there is none.
func startFresh(ctx context.Context, l layout, s settings) error {
	if err := l.makeStateDirs(); err != nil {
		return err
	}
	if err := l.saveSettings(s); err != nil {
		return err
	}
	if err := makeCgroups(l); err != nil {
		return err
	}
	if err := startForwarder(l, &s, nil); err != nil {
		return err
	}
	// Now with its port, so that `status` can ask.
	if err := l.saveSettings(s); err != nil {
		return err
	}
	if err := makeCerts(l, s.Name, time.Now()); err != nil {
		return err
	}
	if err := writeConfigs(l, s); err != nil {
		return err
	}
	if s.ProxyMode == proxyIptables {
		if err := linkIptables(l); err != nil {
			return err
		}
	}
	holder, alive := l.recorded(partForwarder)
	if !alive {
		return fmt.Errorf("the forwarder has died:\n%s", tail(l.log(partForwarder), 5))
	}
	fmt.Println("starting etcd, containerd and the API server")
	for _, p := range storageParts(l) {
		if err := startPart(l, holder, p); err != nil {
			return err
		}
	}
	// An API server whose first connection fails sits out a time limit of 20 s before it goes on.
	if err := awaitEtcd(ctx, l); err != nil {
		return err
	}
	if err := startPart(l, holder, apiServer(l, s)); err != nil {
		return err
	}
	if err := awaitStorage(ctx, l, s); err != nil {
		return err
	}
	fmt.Println("starting the kubelet, controllers, scheduler, proxy, metrics and DNS")
	for _, p := range clientParts(l, s) {
		if err := startPart(l, holder, p); err != nil {
			return err
		}
	}
	if err := awaitCluster(ctx, l, s); err != nil {
		return err
	}
	s.Complete = true
	return l.saveSettings(s)
}

// awaitEtcd waits until etcd answers.
func awaitEtcd(ctx context.Context, l layout) error {
	client := etcdClient(l)
	return watched(l, []string{"etcd"}, eventually(ctx, apiTimeout, func() error {
		return errors.Join(died(l, "etcd"), client.get(ctx, "/health", nil))
	}))
}

// awaitStorage waits until the API server answers and pods could be started.
func awaitStorage(ctx context.Context, l layout, s settings) error {
	client, err := newAPI(l, s)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return loadPause(ctx, l) })
	group.Go(func() error {
		return watched(l, []string{"etcd", "kube-apiserver"}, eventually(ctx, apiTimeout, func() error {
			return errors.Join(died(l, "etcd", "kube-apiserver"), client.ready(ctx))
		}))
	})
	return group.Wait()
}

// awaitCluster joins the add-ons to the cluster and waits until the node is Ready, pods can be made and metrics are served.
func awaitCluster(ctx context.Context, l layout, s settings) error {
	client, err := newAPI(l, s)
	if err != nil {
		return err
	}
	if err := eventually(ctx, apiTimeout, func() error { return client.ready(ctx) }); err != nil {
		return watched(l, []string{"kube-apiserver"}, fmt.Errorf("the API server is not ready: %w", err))
	}
	group, ctx := errgroup.WithContext(ctx)
	if !s.Complete {
		group.Go(func() error { return client.applyAddons(ctx, l) })
	}
	group.Go(func() error {
		err := eventually(ctx, nodeTimeout, func() error { return client.nodeReady(ctx, s.Name) })
		return watched(l, []string{"kubelet", "containerd"}, err)
	})
	group.Go(func() error {
		err := eventually(ctx, nodeTimeout, func() error { return client.controllersWork(ctx) })
		return watched(l, []string{"kube-controller-manager"}, err)
	})
	group.Go(func() error {
		err := eventually(ctx, nodeTimeout, func() error { return client.metricsServed(ctx) })
		return watched(l, []string{"metrics-server"}, err)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for _, p := range allParts(l, s) {
		if err := died(l, p.name); err != nil {
			return watched(l, []string{p.name}, err)
		}
	}
	return nil
}

// died returns an error as soon as one of the parts no longer runs.
func died(l layout, parts ...string) error {
	for _, name := range parts {
		if _, alive := l.recorded(name); !alive {
			return fmt.Errorf("%s has ended", name)
		}
	}
	return nil
}

// watched adds to an error what the parts concerned have logged last.
func watched(l layout, parts []string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	for _, name := range parts {
		err = fmt.Errorf("%w\n--- %s:\n%s", err, filepath.Join(".cluster/logs", name+".log"), tail(l.log(name), 6))
	}
	return err
}
