package monitoring

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboards are the files, and whether the variables of each have these values in the tests.
var dashboards = map[string]map[string]string{
	"ginservice.json": {"datasource": "any", "namespace": "shop", "service": "hello"},
	"operator.json":   {"datasource": "any", "namespace": "gin-operator-system", "job": "gin-operator"},
}

// builtin are what Grafana itself puts in. The rate has to reach back to before the operator's first pass, on a machine that is slow, too.
var builtin = map[string]string{"__rate_interval": "5m", "__range": "1h"}

// screen is how wide and how high a dashboard may be, in Grafana's units: what a screen of 1080 lines shows at once.
const screen = 24

type dashboard struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Name string `json:"name"`
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []any `json:"steps"`
			} `json:"thresholds"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		Expr         string     `json:"expr"`
		LegendFormat string     `json:"legendFormat"`
		Datasource   datasource `json:"datasource"`
	} `json:"targets"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// query is what a dashboard asks.
type query struct {
	// where names it: the panel and the legend, or the annotation.
	where string
	expr  string
}

// queries returns all queries of a dashboard but those of its variables.
func (d *dashboard) queries() []query {
	var all []query
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, query{where: strings.TrimSuffix(p.Title+": "+target.LegendFormat, ": "), expr: target.Expr})
		}
	}
	for _, annotation := range d.Annotations.List {
		if annotation.Expr != "" {
			// What it marks may be over by now: Grafana asks for all of the time that is shown.
			all = append(all, query{where: "annotation " + annotation.Name, expr: "count_over_time((" + annotation.Expr + ")[10m:1s])"})
		}
	}
	return all
}

var variable = regexp.MustCompile(`\$(?:\{(\w+)\}|([a-zA-Z_]\w*))`)

// substitute puts in the variables of a query, as Grafana does. It leaves the $1 of label_replace alone, as Grafana does.
func substitute(t *testing.T, text string, values map[string]string) string {
	t.Helper()
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.Trim(found, "${}")
		if value, known := values[name]; known {
			return value
		}
		if value, known := builtin[name]; known {
			return value
		}
		t.Errorf("there is no variable %s for %s", name, text)
		return found
	})
}

func TestDashboardsAreComplete(t *testing.T) {
	uids := map[string]string{}
	for file, values := range dashboards {
		t.Run(file, func(t *testing.T) {
			d := decode[dashboard](t, shipped(t, "dashboards", file))
			if d.UID == "" || uids[d.UID] != "" || d.Title == "" || d.SchemaVersion < 41 || len(d.Panels) == 0 {
				t.Errorf("uid %q, title %q, schema %d, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Panels))
			}
			uids[d.UID] = file
			for _, v := range d.Templating.List {
				if _, tested := values[v.Name]; !tested {
					t.Errorf("the variable %s is not tested", v.Name)
				}
			}
			ids, cells := map[int]bool{}, map[string]string{}
			for _, p := range d.Panels {
				if p.ID == 0 || ids[p.ID] {
					t.Errorf("%s: the id %d is not its own", p.Title, p.ID)
				}
				ids[p.ID] = true
				checkPanel(t, p)
				place(t, cells, p)
			}
		})
	}
}

// checkPanel looks for what a reader of a panel needs.
func checkPanel(t *testing.T, p panel) {
	t.Helper()
	if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 || len(p.Targets) == 0 {
		t.Errorf("%d %q lacks a title, a description, a unit, thresholds or queries", p.ID, p.Title)
	}
	if !slices.Contains([]string{"stat", "timeseries", "table"}, p.Type) {
		t.Errorf("%s: %s is no panel that every Grafana has", p.Title, p.Type)
	}
	sources := []datasource{p.Datasource}
	for _, target := range p.Targets {
		sources = append(sources, target.Datasource)
		if len(p.Targets) > 1 && target.LegendFormat == "" {
			t.Errorf("%s: a query without a legend", p.Title)
		}
	}
	for _, source := range sources {
		if want := (datasource{Type: "prometheus", UID: "${datasource}"}); source != want {
			t.Errorf("%s: data source %v, want %v", p.Title, source, want)
		}
	}
}

// place checks that a panel is on the first screen, and that nothing else is where it is.
func place(t *testing.T, cells map[string]string, p panel) {
	t.Helper()
	g := p.GridPos
	if g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > screen || g.Y+g.H > screen {
		t.Errorf("%s: %+v is not within the %d by %d units of a screen", p.Title, g, screen, screen)
	}
	for x := g.X; x < g.X+g.W; x++ {
		for y := g.Y; y < g.Y+g.H; y++ {
			cell := fmt.Sprint(x, y)
			if other, taken := cells[cell]; taken {
				t.Errorf("%s is where %s is", p.Title, other)
				return
			}
			cells[cell] = p.Title
		}
	}
}
