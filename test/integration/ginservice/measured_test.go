package ginservice

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
	"github.com/gin-operator/gin-operator/controllers/analysis"
	"github.com/gin-operator/gin-operator/podmetrics"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

// app plays all pods of one version: it answers on loopback, and exposes what ginkit does.
type app struct {
	server *httptest.Server

	mutex    sync.Mutex
	traffic  float64             // requests per second that users send to each pod
	takes    map[float64]float64 // what they take, in seconds, with the share of those that do
	failing  float64             // the share of them that fails
	chance   *rand.Rand          // what decides on these now and then, if not nil
	drawn    time.Time
	down     bool // whether it refuses to tell its metrics
	since    time.Time
	answered map[float64]*[2]float64 // what has succeeded and what failed, by what it took
	warmed   int                     // requests that are no scrapes
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if r.URL.Path != "/metrics" {
		a.warmed++
		a.count(0, 1, 0)
		return
	}
	if a.down {
		http.Error(w, "no metrics today", http.StatusInternalServerError)
		return
	}
	a.catchUp()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprint(w, "# TYPE http_server_active_requests gauge\nhttp_server_active_requests 0\n# TYPE http_server_request_duration_seconds histogram\n")
	for i, status := range []string{"200", "500"} {
		within := 0.0
		for _, bound := range []float64{0.1, 0.25, 0.5, 1, math.Inf(1)} {
			within = 0
			for took, n := range a.answered {
				if took <= bound {
					within += n[i]
				}
			}
			fmt.Fprintf(w, "http_server_request_duration_seconds_bucket{http_response_status_code=%q,le=%q} %d\n", status, strconv.FormatFloat(bound, 'f', -1, 64), int(within))
		}
		fmt.Fprintf(w, "http_server_request_duration_seconds_count{http_response_status_code=%q} %d\n", status, int(within))
	}
}

// count counts requests by what they took.
func (a *app) count(took, succeeded, failed float64) {
	if a.answered[took] == nil {
		a.answered[took] = &[2]float64{}
	}
	a.answered[took][0] += succeeded
	a.answered[took][1] += failed
}

// catchUp counts what users have sent since it was counted last.
func (a *app) catchUp() {
	sent := time.Since(a.since).Seconds() * a.traffic
	a.since = time.Now()
	if a.chance != nil && time.Since(a.drawn) > time.Second {
		a.drawn, a.failing = a.since, 0.002*a.chance.Float64()
		slow := 0.02 + 0.02*a.chance.Float64()
		a.takes = map[float64]float64{0.05: 1 - slow, 0.4: slow}
	}
	for took, share := range a.takes {
		a.count(took, sent*share*(1-a.failing), sent*share*a.failing)
	}
}

// slow has requests take so many seconds from now on.
func (a *app) slow(takes float64) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.catchUp()
	a.takes = map[float64]float64{takes: 1}
}

// vary has some requests fail, and some take longer, as chance will have it.
func (a *app) vary(seed uint64) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.chance = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // to be had again with the same seed
}

// fail has a share of the requests fail from now on.
func (a *app) fail(share float64) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.catchUp()
	a.failing = share
}

func (a *app) refuse(down bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.down = down
}

func (a *app) warmUps() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.warmed
}

// run starts an app with 100 requests per second.
func run() *app {
	a := &app{traffic: 100, since: time.Now(), takes: map[float64]float64{0: 1}, answered: map[float64]*[2]float64{}}
	a.server = httptest.NewServer(a)
	DeferCleanup(a.server.Close)
	return a
}

// apps are the versions that pods may be of.
type apps map[string]*app

// dial connects to the app that plays the pod with an address. Pods have addresses that lead nowhere: an EndpointSlice takes none of loopback.
func (a apps) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := k8s.List(ctx, &pods, client.MatchingFields{"status.podIP": host}); err != nil {
		return nil, err
	}
	for i := range pods.Items {
		_, version, _ := strings.Cut(pods.Items[i].Spec.Containers[0].Image, ":")
		if played := a[version]; played != nil {
			return new(net.Dialer).DialContext(ctx, network, played.server.Listener.Addr().String())
		}
	}
	return nil, errors.New("nobody plays " + address)
}

// measuring starts an operator that measures pods as main.go has it. What it dials is told to those who want to know.
func (a apps) measuring(tell ...func(address string)) *operator {
	GinkgoHelper()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		for _, listener := range tell {
			listener(address)
		}
		return a.dial(ctx, network, address)
	}
	scraper, err := podmetrics.New(podmetrics.Options{Interval: 2 * time.Second, Keep: 11 * time.Minute, Dial: dial})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(scraper.Close)
	return startOperator(func(r *controllers.Reconciler) {
		r.Analysis = analysis.NewRunner(analysis.Options{
			Client: r.Client, Live: r.Live, Clock: r.Clock, Source: analysis.NewPods(scraper), Dial: dial,
		})
	})
}

// analysed has a success rate measured every few seconds.
func analysed(interval, count int32) v1alpha1.AnalysisRun {
	return v1alpha1.AnalysisRun{
		IntervalSeconds: new(interval), Count: new(count),
		Metrics: []v1alpha1.AnalysisMetric{
			{Name: "success", Type: v1alpha1.AnalysisSuccessRate, ThresholdRange: &v1alpha1.ThresholdRange{Min: "0.99"}},
		},
	}
}

func before(run v1alpha1.AnalysisRun, warmUps ...v1alpha1.WarmUpRequest) manifest {
	return func(gs *v1alpha1.GinService) {
		gs.Spec.Strategy.BlueGreen.Analysis = &v1alpha1.Analysis{AnalysisRun: run}
		if len(warmUps) > 0 {
			gs.Spec.Strategy.BlueGreen.Analysis.WarmUp = &v1alpha1.WarmUp{Requests: warmUps, RequestsPerSecond: new(int32(50))}
		}
	}
}

func afterwards(run v1alpha1.AnalysisRun) manifest {
	return func(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.PostPromotionAnalysis = &run }
}

var _ = Describe("a version that is measured", func() {
	It("takes traffic once it has passed", func(ctx SpecContext) {
		apps{"v1": run(), "v2": run()}.measuring()
		s := started(ctx, before(analysed(2, 2)))
		s.release(ctx, "v2")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.Rollout.Analysis).NotTo(BeNil())
			g.Expect(gs.Status.Rollout.Analysis.Metrics[0].Measurements).To(BeEquivalentTo(1))
		})
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		s.eventuallyServes(ctx, "v2")
		result := s.get(ctx).Status.Rollout.Analysis
		Expect(result.Outcome).To(Equal(v1alpha1.AnalysisSuccessful))
		Expect(result.Metrics[0]).To(And(HaveField("Value", "1"), HaveField("Measurements", BeEquivalentTo(2)), HaveField("Failed", BeZero())))
		Eventually(s.events).WithArguments(ctx, "AnalysisSuccessful").Should(HaveLen(1))
	})

	It("takes no traffic where it is bad", func(ctx SpecContext) {
		bad := run()
		bad.fail(0.05)
		apps{"v1": run(), "v2": bad}.measuring()
		s := started(ctx, before(analysed(2, 3)))
		s.release(ctx, "v2")
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAnalysisFailed)).To(And(
			MatchRegexp(`by its analysis: success: 0\.9[0-9]* has to be at least 0\.99`), ContainSubstring(v1alpha1.AnnotationRetry)))
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))

		By("trying again, once it is mended")
		bad.fail(0)
		s.annotate(ctx, v1alpha1.AnnotationRetry, s.get(ctx).Status.Rollout.Revision)
		s.eventuallyServes(ctx, "v2")
	})

	It("takes no traffic where it takes twice as long as what serves", func(ctx SpecContext) {
		serving, slow := run(), run()
		serving.slow(0.2)
		slow.slow(0.4)
		apps{"v1": serving, "v2": slow, "v3": serving}.measuring()
		s := started(ctx, before(v1alpha1.AnalysisRun{IntervalSeconds: new(int32(2)), Count: new(int32(2)), Metrics: []v1alpha1.AnalysisMetric{
			{Name: "latency", Type: v1alpha1.AnalysisLatency, RatioToActive: &v1alpha1.ThresholdRange{Max: "1.5"}},
		}}))
		s.release(ctx, "v2")
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAnalysisFailed)).To(
			ContainSubstring("latency: 0.4975, where the version that serves has 0.2485, has to be at most 1.5 times that of the version that serves"))
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))

		By("releasing one that is as fast as what serves")
		s.release(ctx, "v3")
		s.eventuallyServes(ctx, "v3")
	})

	It("is never stopped where it is good, in 50 runs", func(ctx SpecContext) {
		const services, releases = 25, 2
		versions := apps{}
		for i := range releases + 1 {
			good := run()
			good.vary(uint64(GinkgoRandomSeed()) + uint64(i))
			versions[fmt.Sprintf("v%d", i+1)] = good
		}
		versions.measuring()
		gate := analysed(1, 3)
		gate.Metrics = append(gate.Metrics, v1alpha1.AnalysisMetric{Name: "latency", Type: v1alpha1.AnalysisLatency, RatioToActive: &v1alpha1.ThresholdRange{Max: "1.5"}})
		var all []*service
		for range services {
			all = append(all, create(ctx, before(gate, v1alpha1.WarmUpRequest{Path: "/users"}), afterwards(analysed(1, 2)), scaleDownDelay(0)))
		}
		for _, s := range all {
			s.eventuallyServes(ctx, "v1")
		}
		for i := range releases {
			version := fmt.Sprintf("v%d", i+2)
			for _, s := range all {
				s.release(ctx, version)
			}
			for _, s := range all {
				s.eventuallyServes(ctx, version)
				record := s.eventuallyStep(ctx, v1alpha1.StepCompleted).Status.Rollout
				for _, result := range []*v1alpha1.AnalysisStatus{record.Analysis, record.PostPromotionAnalysis} {
					Expect(result).To(HaveField("Outcome", v1alpha1.AnalysisSuccessful), "%+v\n%+v", record.Analysis, record.PostPromotionAnalysis)
					Expect(result.Metrics).To(HaveEach(HaveField("Failed", BeZero())), "%+v", result)
				}
			}
		}
	}, SpecTimeout(5*time.Minute))

	DescribeTable("is switched back within 15 seconds where it turns bad while the old one is warm", func(ctx SpecContext, gate v1alpha1.AnalysisRun, turn func(*app)) {
		turning := run()
		turning.slow(0.2)
		apps{"v1": run(), "v2": turning}.measuring()
		s := started(ctx, afterwards(gate), scaleDownDelay(0))
		s.release(ctx, "v2")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.Rollout.PostPromotionAnalysis).NotTo(BeNil())
			g.Expect(gs.Status.Rollout.PostPromotionAnalysis.Metrics[0].Measurements).To(BeNumerically(">", 1))
		})
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Green))
		Expect(s.wants(ctx, v1alpha1.Blue)).To(BeNumerically(">", 0), "the old colour has to stay warm until the analysis has ended")

		turn(turning)
		Eventually(s.activeColor).WithArguments(ctx).WithTimeout(15 * time.Second).Should(Equal(v1alpha1.Blue))
		s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAnalysisFailed)
		Eventually(s.events).WithArguments(ctx, "RolledBack").Should(HaveLen(1))
	},
		Entry("with one error in twenty requests", analysed(5, 100), func(a *app) { a.fail(0.05) }),
		Entry("with twice the latency", v1alpha1.AnalysisRun{IntervalSeconds: new(int32(5)), Count: new(int32(100)), Metrics: []v1alpha1.AnalysisMetric{
			{Name: "latency", Type: v1alpha1.AnalysisLatency, ThresholdRange: &v1alpha1.ThresholdRange{Max: "375m"}},
		}}, func(a *app) { a.slow(0.4) }),
	)

	It("is switched back where none of its pods is ready any more while the old one is warm", func(ctx SpecContext) {
		apps{"v1": run(), "v2": run()}.measuring()
		trial := analysed(1, 100)
		trial.OnNoData = v1alpha1.NoDataPass
		s := started(ctx, afterwards(trial), scaleDownDelay(0))
		s.release(ctx, "v2")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.Rollout.PostPromotionAnalysis).NotTo(BeNil())
			g.Expect(gs.Status.Rollout.PostPromotionAnalysis.Metrics[0].Value).To(Equal("1"))
		})
		s.allowOutage(ctx, func() {
			s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
			Eventually(s.activeColor).WithArguments(ctx).WithTimeout(15 * time.Second).Should(Equal(v1alpha1.Blue))
		})
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAnalysisFailed)).To(
			ContainSubstring("no pod of green is ready, and blue has pods that are"))
	})

	It("is not promoted while it is scaled to zero in the middle, but measured on when it wakes", func(ctx SpecContext) {
		apps{"v1": run(), "v2": run()}.measuring()
		gate := analysed(2, 4)
		gate.OnNoData = v1alpha1.NoDataFail
		s := started(ctx, before(gate))
		s.release(ctx, "v2")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.Rollout.Analysis).NotTo(BeNil())
			g.Expect(gs.Status.Rollout.Analysis.Metrics[0].Measurements).To(BeEquivalentTo(1))
		})
		s.scale(ctx, 0)
		s.eventuallySays(ctx, v1alpha1.ConditionProgressing, string(v1alpha1.StepWaitingForPromotion), "success waits for data, because the service is scaled to zero")
		Eventually(s.podNames).WithArguments(ctx, v1alpha1.Green).Should(BeEmpty())
		Consistently(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		s.scale(ctx, 2)
		s.eventuallyServes(ctx, "v2")
		Expect(s.get(ctx).Status.Rollout.Analysis.Metrics[0]).To(And(HaveField("Measurements", BeEquivalentTo(4)), HaveField("Failed", BeZero())))
	})

	It("has to pass what is asked for when it is approved", func(ctx SpecContext) {
		apps{"v1": run(), "v2": run()}.measuring()
		s := started(ctx, manual, before(analysed(1, 2)))
		s.release(ctx, "v2")
		Eventually(s.events).WithArguments(ctx, "AnalysisSuccessful").Should(HaveLen(1))
		s.change(ctx, func(gs *v1alpha1.GinService) {
			metrics := &gs.Spec.Strategy.BlueGreen.Analysis.Metrics
			*metrics = append(*metrics, v1alpha1.AnalysisMetric{Name: "traffic", Type: v1alpha1.AnalysisRequestRate, ThresholdRange: &v1alpha1.ThresholdRange{Min: "1M"}})
		})
		s.promote(ctx, s.get(ctx).Status.Rollout.Revision)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAnalysisFailed)).To(MatchRegexp(`by its analysis: traffic: [0-9.]+ has to be at least 1M`))
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
	})

	It("waits for data, and says for which", func(ctx SpecContext) {
		silent := run()
		silent.refuse(true)
		apps{"v1": run(), "v2": silent}.measuring()
		s := started(ctx, before(analysed(2, 1)))
		s.release(ctx, "v2")
		s.eventuallySays(ctx, v1alpha1.ConditionProgressing, string(v1alpha1.StepWaitingForPromotion), "success waits for data, because pod "+s.namespace+"/hello-green")
		s.promote(ctx, s.get(ctx).Status.Rollout.Revision)
		Consistently(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		silent.refuse(false)
		s.eventuallyServes(ctx, "v2")
	})

	It("is measured by the requests of the operator where there are no others", func(ctx SpecContext) {
		idle := run()
		idle.traffic = 0
		apps{"v1": run(), "v2": idle}.measuring()
		s := started(ctx, before(analysed(2, 2), v1alpha1.WarmUpRequest{Path: "/users"}))
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
		Expect(s.get(ctx).Status.Rollout.Analysis.WarmUp).To(And(HaveField("Sent", BeNumerically(">", 10)), HaveField("Failed", BeZero())))
		sent := idle.warmUps()
		Consistently(idle.warmUps).Should(BeNumerically("<=", sent), "the requests have to end with the analysis")
	})

	It("is measured on where an operator was stopped", func(ctx SpecContext) {
		versions := apps{"v1": run(), "v2": run()}
		first := versions.measuring()
		s := started(ctx, before(analysed(2, 3)))
		s.release(ctx, "v2")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.Rollout.Analysis).NotTo(BeNil())
			g.Expect(gs.Status.Rollout.Analysis.Metrics[0].Measurements).To(BeNumerically(">", 0))
		})
		first.stop()
		begun := s.get(ctx).Status.Rollout.Analysis
		versions.measuring()
		s.eventuallyServes(ctx, "v2")
		result := s.get(ctx).Status.Rollout.Analysis
		Expect(result.StartedAt.Equal(begun.StartedAt)).To(BeTrue())
		Expect(result.Metrics[0].Measurements).To(BeEquivalentTo(3))
	})

	It("comes back to the warm colour at once, unmeasured", func(ctx SpecContext) {
		apps{"v1": run(), "v2": run()}.measuring()
		s := started(ctx, before(analysed(1, 2)), scaleDownDelay(600))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		s.release(ctx, "v1")
		s.eventuallyServes(ctx, "v1")
		Expect(s.get(ctx).Status.Rollout).To(And(HaveField("Rollback", true), HaveField("Analysis", BeNil())))
	})
})

// prometheus plays one that knows all pods, and says what a spec lets it say.
type prometheus struct {
	mutex   sync.Mutex
	success string // the success rate, or what it answers instead of one
}

func (p *prometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if _, err := strconv.ParseFloat(p.success, 64); err != nil {
		fmt.Fprint(w, p.success)
		return
	}
	value := "100"
	if strings.HasPrefix(r.PostFormValue("query"), "1 - ") {
		value = p.success
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1772366400.5,%q]}]}}`, value)
}

func (p *prometheus) say(success string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.success = success
}

var _ = Describe("a version that is measured by a Prometheus", func() {
	It("waits while that says nothing to judge by, and then does as it says", func(ctx SpecContext) {
		said := &prometheus{success: "<html>a login</html>"}
		server := httptest.NewServer(said)
		DeferCleanup(server.Close)
		source, err := analysis.NewPrometheus(server.URL)
		Expect(err).NotTo(HaveOccurred())
		startOperator(func(r *controllers.Reconciler) {
			r.Analysis = analysis.NewRunner(analysis.Options{Client: r.Client, Live: r.Live, Clock: r.Clock, Source: source})
		})
		s := started(ctx, before(analysed(1, 2)))
		s.release(ctx, "v2")
		waits := func(why string) {
			GinkgoHelper()
			s.eventuallySays(ctx, v1alpha1.ConditionProgressing, string(v1alpha1.StepWaitingForPromotion), why)
			Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		}
		waits("is none of Prometheus (status 200): is --prometheus-url its address?")
		said.say("NaN")
		waits("no number to judge by")
		said.say(`{"status":"success","data":{"resultType":"vector","result":[]}}`)
		waits("does it scrape these pods with the labels namespace, service and color?")
		said.say("0.95")
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAnalysisFailed)).To(ContainSubstring("success: 0.95 has to be at least 0.99"))

		By("losing that Prometheus")
		server.Listener.Close()
		server.CloseClientConnections()
		s.release(ctx, "v3")
		waits("can't be reached")
	})
})
