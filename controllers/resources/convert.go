package resources

import (
	"encoding/json"
	"fmt"
)

// convert turns a Kubernetes type into its apply configuration. Both have the same JSON, with whatever is empty left out, as the API
// server leaves it out.
func convert[To, From any](from From) *To {
	data, err := json.Marshal(from)
	if err == nil {
		to := new(To)
		if err = json.Unmarshal(data, to); err == nil {
			return to
		}
	}
	// The types are generated from each other, so this is a mistake in the call and not in the data.
	panic(fmt.Sprintf("resources: %T is not the apply configuration of %T: %v", new(To), from, err))
}
