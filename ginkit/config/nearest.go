package config

import "strings"

// longestName is how many characters a name may have.
const longestName = 128

// isName reports whether a text could be a name: what the key of a ConfigMap may be.
func isName(text string) bool {
	if text == "" || len(text) > longestName {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-' && r != '.'
	})
}

// nearest returns the name that was probably meant, or "". Case does not count, and a third of the characters may be wrong.
func nearest(unknown string, names []string) string {
	if len(unknown) > longestName {
		return ""
	}
	best, least := "", max(1, len(unknown)/3)+1
	for _, name := range names {
		if d := distance(strings.ToUpper(unknown), strings.ToUpper(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many bytes have to be put in, taken out, replaced or swapped with their neighbour to get from a to b.
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
