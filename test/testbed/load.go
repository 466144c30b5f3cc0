package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	loadPort     = 9000
	loadStartup  = 60 * time.Second
	loadPatience = 30 * time.Second
)

// LoadOptions say what load to send. It ends by itself after Duration or MaxRequests, whichever comes first.
type LoadOptions struct {
	Namespace, Name string
	// URLs take turns.
	URLs []string
	// Rate is requests per second.
	Rate float64
	// FreshFraction is the share of requests, 0 to 1, with a connection of their own; the others share Connections, default 16.
	FreshFraction float64
	Connections   int
	// Timeout is how long an answer may take. Default: 5 s.
	Timeout time.Duration
	// Duration and MaxRequests bound the load, and both have to be set.
	Duration    time.Duration
	MaxRequests int
	// Series asks for the figures of each stretch of so much time too, 0 for none.
	Series time.Duration
}

// Load is a load generator that runs in the cluster as a Job.
type Load struct {
	cluster         *Cluster
	namespace, name string
	pod             string
}

// Result is what load has come to so far. hack/load says what the fields mean.
type Result struct {
	Start          time.Time `json:"start"`
	Done           bool      `json:"done"`
	ElapsedSeconds float64   `json:"elapsedSeconds"`
	Requests       int       `json:"requests"`
	InFlight       int       `json:"inFlight"`
	Failed         int       `json:"failed"`
	AchievedRate   float64   `json:"achievedRate"`
	LatencyMs      struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
		Max float64 `json:"max"`
	} `json:"latencyMs"`
	Failures map[string]int `json:"failures"`
	Errors   []struct {
		Time time.Time `json:"time"`
		Kind string    `json:"kind"`
		URL  string    `json:"url"`
		Text string    `json:"text"`
	} `json:"errors"`
	Colors      map[string]Appearance `json:"colors"`
	Revisions   map[string]Appearance `json:"revisions"`
	Connections struct {
		Opened     int `json:"opened"`
		ClosedIdle int `json:"closedIdle"`
	} `json:"connections"`
	Series []struct {
		// AtSeconds is when it began, counted from Start.
		AtSeconds float64 `json:"atSeconds"`
		// Latencies are pairs: so many microseconds, and how many requests took up to that.
		Latencies [][2]int `json:"latencies"`
	} `json:"series"`
}

// Appearance is how often, and when, a colour or revision answered.
type Appearance struct {
	Sighting
	// NewConnections covers only the first answer on each connection.
	NewConnections *Sighting `json:"newConnections"`
}

// Sighting is how often something was seen, and when first and last.
type Sighting struct {
	Requests int       `json:"requests"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// StartLoad starts a load generator in the cluster and returns once it sends.
func (c *Cluster) StartLoad(ctx context.Context, o LoadOptions) (*Load, error) {
	if o.Duration <= 0 || o.MaxRequests <= 0 {
		return nil, fmt.Errorf("load %s: Duration and MaxRequests must be set: no load without a bound", o.Name)
	}
	if _, err := c.AddImage(ctx, LoadImage, c.bin("load")); err != nil {
		return nil, err
	}
	job := loadJob(o, c.Rewrite(LoadImage))
	if err := c.Client.Create(ctx, job); err != nil {
		return nil, fmt.Errorf("creating the load generator: %w", err)
	}
	l := &Load{cluster: c, namespace: o.Namespace, name: o.Name}
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, loadStartup, true, func(ctx context.Context) (bool, error) { return l.started(ctx) })
	if err != nil {
		// Nobody gets to know of it, so nobody else would end it.
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadPatience)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("waiting until the load generator sends: %w", err), l.Delete(cleaning))
	}
	return l, nil
}

// started reports whether the generator answers, and fails once it can't any more.
func (l *Load) started(ctx context.Context) (bool, error) {
	var pods corev1.PodList
	err := l.cluster.Client.List(ctx, &pods, client.InNamespace(l.namespace), client.MatchingLabels{batchv1.JobNameLabel: l.name})
	if err != nil || len(pods.Items) == 0 {
		return false, err
	}
	if pods.Items[0].Status.Phase == corev1.PodFailed {
		return false, fmt.Errorf("its pod has failed: kubectl logs -n %s %s", l.namespace, pods.Items[0].Name)
	}
	l.pod = pods.Items[0].Name
	if pods.Items[0].Status.Phase != corev1.PodRunning {
		return false, nil
	}
	_, err = l.Result(ctx)
	return err == nil, nil
}

// Result returns the state so far.
func (l *Load) Result(ctx context.Context) (Result, error) {
	raw, err := l.cluster.Clientset.CoreV1().Pods(l.namespace).ProxyGet("http", l.pod, strconv.Itoa(loadPort), "/result", nil).DoRaw(ctx)
	return decodeResult(raw, err)
}

// Stop ends the load and returns the final result, in which no outcome is missing.
func (l *Load) Stop(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	raw, err := l.cluster.Clientset.CoreV1().RESTClient().Post().Namespace(l.namespace).Resource("pods").
		Name(fmt.Sprintf("http:%s:%d", l.pod, loadPort)).SubResource("proxy").Suffix("stop").DoRaw(ctx)
	return decodeResult(raw, err)
}

func decodeResult(raw []byte, err error) (Result, error) {
	var so Result
	if err != nil {
		return so, fmt.Errorf("asking the load generator: %w", err)
	}
	if err := json.Unmarshal(raw, &so); err != nil {
		return so, fmt.Errorf("reading the load generator's answer: %w", err)
	}
	return so, nil
}

// Delete removes the generator. Its result is gone with it.
func (l *Load) Delete(ctx context.Context) error {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: l.name}}
	err := client.IgnoreNotFound(l.cluster.Client.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	if err != nil {
		return fmt.Errorf("deleting the load generator: %w", err)
	}
	return nil
}

func loadJob(o LoadOptions, image string) *batchv1.Job {
	arguments := []string{
		"-rate", fmt.Sprint(o.Rate), "-duration", o.Duration.String(), "-max-requests", strconv.Itoa(o.MaxRequests),
		"-fresh-fraction", fmt.Sprint(o.FreshFraction), "-interval", "0", "-listen", fmt.Sprintf(":%d", loadPort),
	}
	if o.Series > 0 {
		arguments = append(arguments, "-series", o.Series.String())
	}
	if o.Timeout > 0 {
		arguments = append(arguments, "-timeout", o.Timeout.String())
	}
	if o.Connections > 0 {
		arguments = append(arguments, "-connections", strconv.Itoa(o.Connections))
	}
	for _, url := range o.URLs {
		arguments = append(arguments, "-url", url)
	}
	// It stays for its result to be asked for, but not for ever.
	deadline := int64((o.Duration + 10*time.Minute) / time.Second)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
		Spec: batchv1.JobSpec{
			BackoffLimit:            new(int32(0)),
			ActiveDeadlineSeconds:   &deadline,
			TTLSecondsAfterFinished: new(int32(600)),
			Template: corev1.PodTemplateSpec{
				Spec: corev1.PodSpec{
					RestartPolicy:                 corev1.RestartPolicyNever,
					AutomountServiceAccountToken:  new(false),
					TerminationGracePeriodSeconds: new(int64(1)),
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{
						Name: "load", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: arguments,
						Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
						Ports:     []corev1.ContainerPort{{Name: "control", ContainerPort: loadPort}},
						ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
							HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromString("control")},
						}},
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
							Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
					}},
				},
			},
		},
	}
}
