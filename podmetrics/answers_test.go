package podmetrics

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

func text(bodies ...string) []answer {
	var answers []answer
	for _, body := range bodies {
		answers = append(answers, answer{body: body})
	}
	return answers
}

func selector(text string) labels.Selector {
	parsed, err := labels.Parse(text)
	if err != nil {
		panic(err)
	}
	return parsed
}

// labelValues returns a counter with so many values of a label, each of which counts the same.
func labelValues(n, value int) string {
	var b strings.Builder
	b.WriteString("# TYPE jobs_total counter\n")
	for i := range n {
		fmt.Fprintf(&b, "jobs_total{user=\"%d\"} %d\n", i, value)
	}
	return b.String()
}

// manyNames returns more names than are noted of an answer.
func manyNames() string {
	var b strings.Builder
	for i := range maxNames / 16 {
		fmt.Fprintf(&b, "app_measures_%04d 1\n", i)
	}
	return b.String()
}

// durations returns the histogram of durations as ginkit exposes it, with the bounds 0.1, 1 and none.
func durations(status string, buckets ...int) string {
	const name = "http_server_request_duration_seconds"
	labels := fmt.Sprintf(`http_request_method="GET",http_response_status_code=%q,http_route="/"`, status)
	return fmt.Sprintf("# TYPE %[1]s histogram\n%[1]s_bucket{%[2]s,le=\"0.1\"} %[3]d\n%[1]s_bucket{%[2]s,le=\"1\"} %[4]d\n"+
		"%[1]s_bucket{%[2]s,le=\"+Inf\"} %[5]d\n%[1]s_sum{%[2]s} 1.5\n%[1]s_count{%[2]s} %[5]d\n", name, labels, buckets[0], buckets[1], buckets[2])
}

const idle = "# TYPE http_server_active_requests gauge\nhttp_server_active_requests{http_request_method=\"GET\"} 0\n"

// What a pod says in scrapes that are five seconds apart, and what comes of it in the end.
//
//nolint:funlen // a table
func TestAnswers(t *testing.T) {
	const typed = "# TYPE jobs_total counter\n"
	for name, tc := range map[string]struct {
		answers []answer
		query   Query
		want    float64
		count   float64
		reason  Reason
		message string
	}{
		"counter": {answers: text(typed+"jobs_total 10\n", typed+"jobs_total 60\n"), want: 10, count: 50},
		"counter whose series are added up": {
			answers: text(typed+"jobs_total{a=\"1\"} 10\njobs_total{a=\"2\"} 20\n", typed+"jobs_total{a=\"1\"} 15\njobs_total{a=\"2\"} 40\n"), want: 5, count: 25,
		},
		"counter that goes backwards counts on from zero": {
			answers: text(typed+"jobs_total 100\n", typed+"jobs_total 110\n", typed+"jobs_total 5\n"), want: 1.5, count: 15,
		},
		"one series that goes backwards": {
			answers: text(typed+"jobs_total{a=\"1\"} 100\njobs_total{a=\"2\"} 100\n", typed+"jobs_total{a=\"1\"} 10\njobs_total{a=\"2\"} 115\n"), want: 5, count: 25,
		},
		"restart that a higher count would hide": {
			answers: text(typed+"jobs_total 100\nprocess_start_time_seconds 9.4e8\n", typed+"jobs_total 120\nprocess_start_time_seconds 946684803.5\n"),
			want:    24, count: 120,
		},
		"restart on a machine whose clock is behind": {
			answers: text(typed+"jobs_total 100\nprocess_start_time_seconds 9.4e8\n", typed+"jobs_total 120\nprocess_start_time_seconds 946684753.5\n"),
			want:    24, count: 120,
		},
		"clock that is set by a little": {
			answers: text(typed+"jobs_total 100\nprocess_start_time_seconds 946684790.1\n", typed+"jobs_total 120\nprocess_start_time_seconds 946684790.4\n"),
			want:    4, count: 20,
		},
		"clock that is set by much": {
			answers: text(typed+"jobs_total 100\nprocess_start_time_seconds 9.4e8\n", typed+"jobs_total 120\nprocess_start_time_seconds 940003600\n"),
			want:    4, count: 20,
		},
		"series that is new counts from zero": {
			answers: text(typed+"jobs_total{a=\"1\"} 7\n", typed+"jobs_total{a=\"1\"} 7\njobs_total{a=\"2\"} 5\n"), want: 1, count: 5,
		},
		"series that is away for a scrape": {
			answers: text(typed+"jobs_total{a=\"1\"} 7\njobs_total{a=\"2\"} 1000\n", typed+"jobs_total{a=\"1\"} 7\n", typed+"jobs_total{a=\"1\"} 7\njobs_total{a=\"2\"} 1010\n"),
			want:    1, count: 10,
		},
		"metric that is new begins with what it has": {
			answers: text("other 1\n", typed+"jobs_total 1000\n", typed+"jobs_total 1010\n"), want: 2, count: 10,
		},
		"labels in another order are the same series": {
			answers: text(typed+"jobs_total{a=\"1\",b=\"2\"} 10\n", typed+"jobs_total{b=\"2\",a=\"1\"} 15\n"), want: 1, count: 5,
		},
		"names and values that change places are other series": {
			answers: text(typed+"jobs_total{a=\"b\"} 10\njobs_total{b=\"a\"} 20\n", typed+"jobs_total{a=\"b\"} 15\njobs_total{b=\"a\"} 40\n"), want: 5, count: 25,
		},
		"selector": {
			answers: text(typed+"jobs_total{a=\"1\"} 10\njobs_total{a=\"2\"} 20\n", typed+"jobs_total{a=\"1\"} 15\njobs_total{a=\"2\"} 90\n"),
			query:   Query{Name: "jobs_total", Selector: selector("a=1")}, want: 1, count: 5,
		},
		"selector of a value with escapes": {
			answers: text("queue{path=\"a\\\\b\\\"c\"} 3\nqueue{path=\"a\"} 4\n"),
			query:   Query{Name: "queue", Selector: selector("path notin (a)")}, want: 3,
		},
		"selector that nothing matches": {
			answers: text(typed + "jobs_total{a=\"1\"} 10\n"), query: Query{Name: "jobs_total", Selector: selector("a=typo")},
			reason: ReasonNoSeries, message: "no series of jobs_total has the labels a=typo",
		},
		"gauge":               {answers: text("# TYPE queue gauge\nqueue{a=\"1\"} -2\nqueue{a=\"2\"} 4.5\n"), query: Query{Name: "queue"}, want: 2.5},
		"gauge that falls":    {answers: text("queue 100\n", "queue 3\n"), query: Query{Name: "queue"}, want: 3},
		"count of a summary":  {answers: text("# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_count 1\n", "# TYPE s summary\ns_count 11\n"), query: Query{Name: "s_count"}, want: 2, count: 10},
		"metric without type": {answers: text("jobs_total 1\n", "jobs_total 6\n"), want: 1, count: 5},
		"lines in all their forms": {
			answers: text(" # a comment\n#\n\n\t\n# HELP jobs_total Jobs.\n#  TYPE  jobs_total\tcounter \r\n\tjobs_total { a = \"x}, \\\"\" , } \t 1e1 1395066363000 \nx{\"y\"}z 1\n{\"q.r\"} 1\n",
				"# TYPE jobs_total counter\njobs_total{ a = \"x}, \\\"\"} +15.0\n"),
			want: 1, count: 5,
		},
		"OpenMetrics": {
			answers: []answer{
				{contentType: "application/openmetrics-text; version=1.0.0", body: "# TYPE jobs counter\n# UNIT jobs s\njobs_total 10.0 # {trace_id=\"ab\"} 1.0 1.5\njobs_created 1.5\n# EOF\n"},
				{contentType: "application/openmetrics-text; version=1.0.0", body: "# TYPE jobs counter\njobs_total{} 15.0 1700000000.5 # {trace_id=\"a # b\"} 1.0\n# EOF\n"},
			}, want: 1, count: 5,
		},
		"OpenMetrics that ends without a line feed": {
			answers: []answer{
				{contentType: "application/openmetrics-text", body: "# TYPE queue gauge\nqueue 3\n# EOF"},
			}, query: Query{Name: "queue"}, want: 3,
		},
		"OpenMetrics that is cut off": {
			answers: []answer{{contentType: "application/openmetrics-text", body: "# TYPE jobs counter\njobs_total 10.0\n"}}, reason: ReasonMalformed, message: "# EOF",
		},
		"OpenMetrics that goes on": {
			answers: []answer{{contentType: "application/openmetrics-text", body: "# EOF\njobs_total 10.0\n"}}, reason: ReasonMalformed, message: "line 2 comes after # EOF",
		},
		"text that is cut off": {answers: text(typed + "jobs_total 1"), reason: ReasonMalformed, message: "cut off in the middle of line 2"},

		"NaN in a counter": {answers: text(typed+"jobs_total 1\n", typed+"jobs_total NaN\n"), reason: ReasonBadValue, message: "jobs_total is NaN"},
		"NaN":              {answers: text("queue{a=\"1\"} 5\nqueue{a=\"2\"} NaN\n"), query: Query{Name: "queue"}, reason: ReasonBadValue, message: "queue is NaN"},
		"infinity":         {answers: text("queue -Inf\n"), query: Query{Name: "queue"}, reason: ReasonBadValue, message: "queue is -Inf"},
		"out of range":     {answers: text("queue 1e999\n"), query: Query{Name: "queue"}, reason: ReasonBadValue, message: "queue is +Inf"},
		"too large": {
			answers: text("queue 1.7e308\n"), query: Query{Name: "queue"}, reason: ReasonBadValue, message: "queue is 1.7e+308, which is more than",
		},
		"counts whose sum has no end": {
			answers: text("jobs_total 1\n", "jobs_total 1.7e308\n", "jobs_total 1\n", "jobs_total 1.7e308\n", "jobs_total 1\n", "jobs_total 11\n"), want: 0.4, count: 10,
		},
		"negative counter":     {answers: text(typed + "jobs_total -1\n"), reason: ReasonBadValue, message: "is a counter and yet negative (-1)"},
		"series that is twice": {answers: text(typed + "jobs_total{a=\"1\",b=\"\"} 1\njobs_total{b=\"\",a=\"1\"} 2\n"), reason: ReasonBadValue, message: "same labels twice"},
		"NaN that a selector leaves out": {
			answers: text("queue{a=\"1\"} 5\nqueue{a=\"2\"} NaN\n"), query: Query{Name: "queue", Selector: selector("a!=2")}, want: 5,
		},
		"summary": {answers: text("# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_count 1\n"), query: Query{Name: "s"}, reason: ReasonWrongType, message: "ask for the name with _count"},
		"types that contradict each other": {
			answers: text("# TYPE queue gauge\nqueue{a=\"1\"} 5\n# TYPE queue counter\nqueue{a=\"2\"} 5\n"), query: Query{Name: "queue"}, reason: ReasonWrongType, message: "a counter in one place",
		},
		"garbage":                {answers: text("\x00\x01\x02\xff\n"), reason: ReasonMalformed, message: "line 1 does not begin with the name of a metric"},
		"garbage as value":       {answers: text("jobs_total abc\n"), reason: ReasonMalformed, message: `line 1 (jobs_total) has "abc" where its value should be`},
		"no value":               {answers: text("jobs_total\n"), reason: ReasonMalformed, message: `has "" where its value should be`},
		"forms that only Go has": {answers: text("jobs_total 0x1p4\n"), reason: ReasonMalformed},
		"garbage as time":        {answers: text("jobs_total 1 yesterday\n"), reason: ReasonMalformed, message: "goes on after its value"},
		"two times":              {answers: text("jobs_total 1 2 3\n"), reason: ReasonMalformed, message: "goes on after its value"},
		"no closing brace":       {answers: text("jobs_total{a=\"1\" 1\n"), reason: ReasonMalformed, message: "lacks a comma or a brace after label a"},
		"no closing quote":       {answers: text("jobs_total{a=\"1\\\"} 1\n"), reason: ReasonMalformed, message: "lacks the quotation mark"},
		"no quote":               {answers: text("jobs_total{a=1} 1\n"), reason: ReasonMalformed, message: "lacks = and a quotation mark"},
		"no label":               {answers: text("jobs_total{,} 1\n"), reason: ReasonMalformed, message: "lacks the name of a label"},
		"a very long line":       {answers: text("jobs_total{a=\"" + strings.Repeat("x", maxLine) + "\"} 1\n"), reason: ReasonMalformed, message: "longer than 65536 bytes"},
		"a page":                 {answers: []answer{{contentType: "text/html", body: "<html>"}}, reason: ReasonContentType, message: `with "text/html", which is not metrics as text`},

		"metric that is not there": {
			answers: text("# TYPE job_total counter\njob_total 1\n# TYPE jobs histogram\njobs_count 1\n# TYPE up gauge\nup 1\n# TYPE go_goroutines gauge\ngo_goroutines 8\n"),
			reason:  ReasonNoMetric, message: "exposes no metric named jobs_total; it has: job_total, jobs_count, up",
		},
		"nothing at all": {answers: text(""), reason: ReasonNoMetric, message: "exposes no metric at all"},

		"a thousand label values are summed up": {answers: text(labelValues(1000, 1), labelValues(1000, 6)), want: 1000, count: 5000},
		"too many label values":                 {answers: text(labelValues(5001, 1)), reason: ReasonTooManySeries, message: "more than 5000 series: narrow it down with a selector"},
		"too many label values, narrowed down": {
			answers: text(labelValues(6000, 1), labelValues(6000, 6)), query: Query{Name: "jobs_total", Selector: selector("user=7")}, want: 1, count: 5,
		},

		"requests":           {answers: text(idle+durations("200", 0, 0, 10), idle+durations("200", 0, 0, 30)), query: Query{Name: RequestsPerSecond}, want: 4, count: 20},
		"the first requests": {answers: text(idle, idle+durations("200", 0, 0, 30)), query: Query{Name: RequestsPerSecond}, want: 6, count: 30},
		"no requests so far": {answers: text(idle, idle), query: Query{Name: RequestsPerSecond}, want: 0},
		"no requests, and a selector that may be wrong": {
			answers: text(idle, idle), query: Query{Name: RequestsPerSecond, Selector: selector("http_request_method=PATHC")}, reason: ReasonNoMetric,
		},
		"durations in another unit": {
			answers: text(idle + "# TYPE http_server_request_duration_milliseconds histogram\nhttp_server_request_duration_milliseconds_count 7\n"),
			query:   Query{Name: RequestsPerSecond}, reason: ReasonNoMetric, message: "it has: http_server_request_duration_milliseconds_count",
		},
		"durations in another unit, after more names than are noted": {
			answers: text(idle + manyNames() + "http_server_request_duration_milliseconds_count 7\n"), query: Query{Name: RequestsPerSecond}, reason: ReasonNoMetric,
		},
		"durations of which there are none yet": {
			answers: text(idle+"# TYPE http_server_request_duration_seconds histogram\n", idle+"# TYPE http_server_request_duration_seconds histogram\n"),
			query:   Query{Name: RequestsPerSecond}, want: 0,
		},
		"a service without such metrics": {answers: text("up 1\n"), query: Query{Name: RequestsPerSecond}, reason: ReasonNoMetric, message: "no metric named http_server_request_duration_seconds_count"},
		"requests in flight": {
			answers: text("http_server_active_requests{http_request_method=\"GET\"} 3\nhttp_server_active_requests{http_request_method=\"PUT\"} 2\n"),
			query:   Query{Name: RequestsInFlight}, want: 5,
		},
		"success": {
			answers: text(idle+durations("200", 0, 0, 10), idle+durations("200", 0, 0, 105)+durations("503", 0, 0, 5)), query: Query{Name: RequestSuccessRatio}, want: 0.95, count: 100,
		},
		"errors of the client are none of the service": {
			answers: text(idle, idle+durations("404", 0, 0, 5)), query: Query{Name: RequestSuccessRatio}, want: 1, count: 5,
		},
		"success of none": {answers: text(idle + durations("200", 0, 0, 10)), query: Query{Name: RequestSuccessRatio}, reason: ReasonTooFewSamples},
		"success of nothing": {
			answers: text(idle, idle), query: Query{Name: RequestSuccessRatio}, reason: ReasonNoRequests, message: "nothing was counted in the last 5s",
		},
		"p99 within a bucket": {
			answers: text(idle+durations("200", 5, 5, 5), idle+durations("200", 85, 105, 105)), query: Query{Name: RequestDurationP90}, want: 0.1 + 0.9*10/20, count: 100,
		},
		"p50 in the lowest bucket": {
			answers: text(idle, idle+durations("200", 100, 100, 100)), query: Query{Name: RequestDurationP50}, want: 0.05, count: 100,
		},
		"p99 above all bounds": {
			answers: text(idle, idle+durations("200", 0, 0, 100)), query: Query{Name: RequestDurationP99}, want: 1, count: 100,
		},
		"quantile of two statuses together": {
			answers: text(idle, idle+durations("200", 50, 50, 50)+durations("500", 0, 50, 50)), query: Query{Name: RequestDurationP95}, want: 0.1 + 0.9*45/50, count: 100,
		},
		"quantile of nothing": {answers: text(idle, idle), query: Query{Name: RequestDurationP99}, reason: ReasonNoRequests},
		"quantile of a histogram of the service": {
			answers: text(idle+durations("200", 0, 0, 0), idle+durations("200", 100, 100, 100)), query: Query{Name: durationName, Quantile: 0.2}, want: 0.02, count: 100,
		},
		"quantile of the first requests": {
			answers: text(idle, idle+durations("200", 100, 100, 100)), query: Query{Name: durationName, Quantile: 0.2}, want: 0.02, count: 100,
		},
		"quantile of no requests so far": {answers: text(idle, idle), query: Query{Name: durationName, Quantile: 0.2}, reason: ReasonNoRequests},
		"quantile of something else of which there is nothing yet": {
			answers: text(idle, idle), query: Query{Name: "job_seconds", Quantile: 0.2}, reason: ReasonNoMetric, message: "no metric named job_seconds_bucket",
		},
		"quantile of a native histogram": {
			answers: text("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 0\n", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\n"), query: Query{Name: "h", Quantile: 0.5},
			count: 3, reason: ReasonWrongType, message: "h_bucket has no buckets",
		},
		"quantile of a bound that is none": {
			answers: text("h_bucket{le=\"high\"} 0\n"), query: Query{Name: "h", Quantile: 0.5}, reason: ReasonBadValue, message: `the bound "high"`,
		},
		"a bound that fills the line": {
			answers: text("h_bucket{le=\"" + strings.Repeat("x", 60_000) + "\"} 0\n"), query: Query{Name: "h", Quantile: 0.5}, reason: ReasonBadValue,
			message: `the bound "` + strings.Repeat("x", 60) + `", which is no number`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newScript()
				s := start(t, network, Options{})
				defer s.Close()
				query := tc.query
				if query.Name == "" {
					query = jobs
				}
				target := podNumber(1, query)
				network.say(target, tc.answers...)
				set(t, s, target)
				pass(time.Duration(len(tc.answers)) * interval)
				value, err := s.Read(target.Pod.UID, query, time.Minute)
				if tc.reason != "" {
					wantReason(t, err, tc.reason)
					if err != nil && !strings.Contains(err.Error(), tc.message) {
						t.Errorf("error %v, want one that says %q", err, tc.message)
					}
				} else if err != nil {
					t.Fatal(err)
				}
				if math.Abs(value.Value-tc.want) > 1e-9 || value.Count != tc.count {
					t.Errorf("%+v, want %v of %v", value, tc.want, tc.count)
				}
			})
		})
	}
}

func TestPodsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{})
		defer s.Close()
		ratio, p50, rate := Query{Name: RequestSuccessRatio}, Query{Name: RequestDurationP50}, Query{Name: RequestsPerSecond}
		flight := Query{Name: RequestsInFlight}
		var uids []types.UID
		for n, answers := range [][]answer{
			text(idle, idle+durations("200", 90, 90, 90)),
			text(idle, idle+durations("500", 0, 10, 10)),
			{{status: 404}},
		} {
			target := podNumber(n, ratio, p50, rate, flight)
			network.say(target, answers...)
			set(t, s, target)
			uids = append(uids, target.Pod.UID)
		}
		pass(2 * interval)
		for _, tc := range []struct {
			query       Query
			want, count float64
		}{{ratio, 0.9, 100}, {p50, 0.1 * 50 / 90, 100}, {rate, 20, 100}, {flight, 0, 0}} {
			value, problems := s.Sum(uids, tc.query, time.Minute)
			if math.Abs(value.Value-tc.want) > 1e-9 || value.Count != tc.count || value.Pods != 2 {
				t.Errorf("%s: %+v, want %v of %v in 2 pods", tc.query, value, tc.want, tc.count)
			}
			if len(problems) != 1 || problems[0].Pod.Name != "hello-blue-2" || problems[0].Reason != ReasonStatus {
				t.Errorf("%s: problems %v, want that of the last pod", tc.query, problems)
			}
		}
		// The second is as fresh as the first, and the value is as old as the older of them.
		first, second := network.times(podNumber(0))[1], network.times(podNumber(1))[1]
		if second.Before(first) {
			first = second
		}
		if value, _ := s.Sum(uids, rate, time.Minute); !value.Time.Equal(first) || value.Window != interval {
			t.Errorf("time %s and window %s, want %s and %s", value.Time, value.Window, first, interval)
		}
		for _, query := range []Query{rate, flight} {
			if value, problems := s.Sum(nil, query, time.Minute); value != (Value{}) || len(problems) != 0 {
				t.Errorf("%s: %+v, %v of no pods, want zero", query, value, problems)
			}
		}
		if _, problems := s.Sum(nil, ratio, time.Minute); len(problems) != 1 || problems[0].Reason != ReasonNoRequests {
			t.Errorf("%v: there is no ratio of no pods", problems)
		}
		if value, problems := s.Sum(uids[2:], rate, time.Minute); value != (Value{}) || len(problems) != 1 {
			t.Errorf("%+v, %v of pods that have nothing to say", value, problems)
		}
	})
}

func TestTheWindowIsWhatWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{Keep: 30 * time.Second})
		defer s.Close()
		target := podNumber(1, jobs)
		var answers []answer
		// One, two, three… in each interval.
		for n, total := 0, 0; n < 40; n++ {
			total += n
			answers = append(answers, counter(total))
		}
		network.say(target, answers...)
		set(t, s, target)
		pass(40 * interval)
		for window, count := range map[time.Duration]float64{
			time.Second: 39, 5 * time.Second: 39, 10 * time.Second: 39 + 38, 29 * time.Second: 39 + 38 + 37 + 36 + 35 + 34,
			// Cut to what is kept, and one interval so that scrapes that are late don't shorten it.
			time.Hour: 39 + 38 + 37 + 36 + 35 + 34 + 33,
		} {
			value, err := s.Read(target.Pod.UID, jobs, window)
			if err != nil || value.Count != count || math.Abs(value.Value-count/value.Window.Seconds()) > 1e-9 {
				t.Errorf("%s: %+v, %v, want %v", window, value, err, count)
			}
		}
	})
}

func TestSamplesThatAreTooCloseMakeNoRate(t *testing.T) {
	at := time.Unix(0, 0)
	for name, tc := range map[string]struct {
		samples []time.Duration
		want    time.Duration
	}{
		"one":                         {samples: []time.Duration{0}},
		"two in no time":              {samples: []time.Duration{0, 40 * time.Millisecond}},
		"two at half an interval":     {samples: []time.Duration{0, interval / 2}, want: interval / 2},
		"one that is old enough also": {samples: []time.Duration{0, interval, interval + 40*time.Millisecond}, want: interval + 40*time.Millisecond},
		"every interval":              {samples: []time.Duration{0, interval, 2 * interval, 3 * interval, 4 * interval}, want: 3 * interval},
	} {
		var r ring
		for _, after := range tc.samples {
			r.push(at.Add(after), []float64{1}, 10)
		}
		newest, base, ok := r.window(3*interval, interval, staleAfter*interval)
		if ok != (tc.want != 0) || ok && newest.at.Sub(base.at) != tc.want {
			t.Errorf("%s: %t, %v to %v, want %s between them", name, ok, base, newest, tc.want)
		}
	}
}

func TestWhatIsKeptOfAPodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{MaxSeries: 100})
		defer s.Close()
		target := podNumber(1, jobs)
		// Each scrape has twenty users who were never there before, and none of those who were.
		var answers []answer
		for scrape := range 60 {
			var b strings.Builder
			for i := range 20 {
				fmt.Fprintf(&b, "jobs_total{user=\"%d\"} 1\n", scrape*20+i)
			}
			answers = append(answers, answer{body: b.String()})
		}
		network.say(target, answers...)
		set(t, s, target)
		full := 0
		for range answers {
			pass(interval)
			scraped := s.targets[target.Pod.UID]
			scraped.mu.Lock() // the next scrape waits for it, and so comes after what is read here
			k := scraped.tracks[must(jobs.plan()).key()]
			series, problem := len(k.series), k.problem
			scraped.mu.Unlock()
			if series > 100 {
				t.Fatalf("%d series are kept, want at most 100", series)
			}
			if problem != nil {
				full++
				if problem.Reason != ReasonTooManySeries {
					t.Errorf("problem %v", problem)
				}
			}
		}
		if full == 0 || full == len(answers) {
			t.Errorf("%d of %d scrapes had too many series: those that are gone should make room, after a while", full, len(answers))
		}
	})
}

func TestWhatIsKeptOfAllPodsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{MaxTotal: 100})
		narrow := Query{Name: "jobs_total", Selector: selector("user=7")}
		first, second := podNumber(1, jobs), podNumber(2, jobs)
		for _, target := range []Target{first, second} {
			network.say(target, text(labelValues(60, 1), labelValues(60, 1), labelValues(60, 2))...)
		}
		set(t, s, first)
		pass(2 * interval)
		set(t, s, second)
		pass(2 * interval)
		if value, err := s.Read(first.Pod.UID, jobs, time.Minute); err != nil || value.Count != 60 {
			t.Errorf("%+v, %v, want all that the pod counts which was there first", value, err)
		}
		_, err := s.Read(second.Pod.UID, jobs, time.Minute)
		wantReason(t, err, ReasonTooManySeries)
		if left := s.room.left.Load(); left != 40 {
			t.Errorf("room for %d more series, want it for 40: who has too many holds none", left)
		}
		// There is room again where less is asked for, and where a pod goes.
		first.Queries = []Query{narrow}
		set(t, s, first)
		pass(3 * interval)
		if value, err := s.Read(second.Pod.UID, jobs, time.Minute); err != nil || value.Pods != 1 {
			t.Errorf("%+v, %v, want a value", value, err)
		}
		s.Remove(second.Pod.UID)
		pass(interval)
		if left := s.room.left.Load(); left != 99 {
			t.Errorf("room for %d more series, want it for all but one", left)
		}
		s.Close()
		if left := s.room.left.Load(); left != 100 {
			t.Errorf("room for %d more series in the end, want it for 100", left)
		}
	})
}

// A series that is forgotten comes back as a new one, with all that it ever counted: so those that failed scrapes did not show are kept.
func TestFailedScrapesForgetNoSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newScript()
		s := start(t, network, Options{MaxSeries: 3, Keep: 5 * time.Minute})
		defer s.Close()
		target := podNumber(1, jobs)
		answers := text("jobs_total{a=\"1\"} 1000\njobs_total{a=\"2\"} 1000\njobs_total{a=\"3\"} 1000\n")
		for range 20 {
			answers = append(answers, answer{status: 503})
		}
		answers = append(answers, text("jobs_total{a=\"4\"} 5\njobs_total{a=\"1\"} 1001\njobs_total{a=\"2\"} 1001\n")...)
		network.say(target, answers...)
		set(t, s, target)
		pass(22 * interval)
		_, err := s.Read(target.Pod.UID, jobs, 5*time.Minute)
		wantReason(t, err, ReasonTooManySeries)
		// Once the third has been gone for long, there is room for the fourth.
		pass(forgetAfter * interval)
		pass(interval)
		if value, err := s.Read(target.Pod.UID, jobs, 5*time.Minute); err != nil || value.Count != 7 {
			t.Errorf("%+v, %v, want 7 counted: one each in two series, and five in a new one", value, err)
		}
	})
}

func must(p plan, err error) *plan {
	if err != nil {
		panic(err)
	}
	return &p
}
