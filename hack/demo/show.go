package main

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// show prints what happens, with the seconds since the demo began.
type show struct {
	out   io.Writer
	start time.Time
}

func newShow(out io.Writer) *show { return &show{out: out, start: time.Now()} }

func (s *show) title(text string) { fmt.Fprintf(s.out, "\n--- %s\n", text) }

func (s *show) line(topic, format string, values ...any) {
	fmt.Fprintf(s.out, "%7.1f s  %-8s  %s\n", time.Since(s.start).Seconds(), topic, fmt.Sprintf(format, values...))
}

// indented returns a writer that shows what another program prints.
func (s *show) indented() io.Writer {
	reader, writer := io.Pipe()
	go func() {
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			if lines.Text() != "" {
				s.line("cluster", "%s", lines.Text())
			}
		}
		_, _ = io.Copy(io.Discard, reader)
	}()
	return writer
}
