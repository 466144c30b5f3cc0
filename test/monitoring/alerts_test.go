package monitoring

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gin-operator/gin-operator/test/servers"
)

type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []struct {
			Alert       string            `json:"alert"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"rules"`
	} `json:"groups"`
}

type ruleTests struct {
	Tests []struct {
		AlertRuleTest []struct {
			Alertname string `json:"alertname"`
			ExpAlerts []any  `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	} `json:"tests"`
}

func promtool(t *testing.T, arguments ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), servers.Promtool(t), arguments...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

func TestPromtoolTakesTheRules(t *testing.T) {
	promtool(t, "check", "rules", shipped(t, "alerts.yaml"))
}

func TestEachAlertFiresWhenItShouldAndOnlyThen(t *testing.T) {
	file := filepath.Join("testdata", "alerts_test.yaml")
	promtool(t, "test", "rules", file)

	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range decode[ruleTests](t, file).Tests {
		for _, check := range test.AlertRuleTest {
			if len(check.ExpAlerts) > 0 {
				fires[check.Alertname] = true
			} else {
				silent[check.Alertname] = true
			}
		}
	}
	for _, group := range decode[ruleFile](t, shipped(t, "alerts.yaml")).Groups {
		for _, rule := range group.Rules {
			if !fires[rule.Alert] || !silent[rule.Alert] {
				t.Errorf("%s: %s has to be tested firing (it is: %t) and not firing (it is: %t)", file, rule.Alert, fires[rule.Alert], silent[rule.Alert])
			}
		}
	}
}

func TestEachAlertSaysWhatToDo(t *testing.T) {
	const page = "https://github.com/gin-operator/gin-operator/blob/main/docs/monitoring.md#"
	headings := anchors(read(t, filepath.Join(root, "docs", "monitoring.md")))
	total := 0
	for _, group := range decode[ruleFile](t, shipped(t, "alerts.yaml")).Groups {
		for _, rule := range group.Rules {
			total++
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s has no summary or no description", rule.Alert)
			}
			if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
				t.Errorf("%s has the severity %q, want critical or warning", rule.Alert, severity)
			}
			if got, want := rule.Annotations["runbook_url"], page+strings.ToLower(rule.Alert); got != want {
				t.Errorf("%s links to %s, want %s", rule.Alert, got, want)
			}
			if !headings[rule.Alert] {
				t.Errorf("docs/monitoring.md has no heading %s", rule.Alert)
			}
		}
	}
	if total == 0 {
		t.Error("there are no alerts")
	}
}
