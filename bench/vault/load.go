//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// connection is one HTTP/1.1 connection that is kept.
type connection struct {
	address string
	net.Conn
	r *bufio.Reader
}

// answer is what a request brought.
type answer struct {
	status int
	header []byte
	body   []byte
}

func (a *answer) get(name string) string {
	for line := range bytes.Lines(a.header) {
		if k, v, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(k, []byte(name)) {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

var errChunked = errors.New("an answer without a length")

// do sends a request as it is and reads the answer. It opens the connection where that is
// needed.
func (c *connection) do(request []byte) (answer, error) {
	if c.Conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return answer{}, err
		}
		c.Conn, c.r = conn, bufio.NewReaderSize(conn, 32<<10)
	}
	a, err := c.once(request)
	if err != nil {
		_ = c.Close()
		c.Conn = nil
	}
	return a, err
}

func (c *connection) once(request []byte) (a answer, err error) {
	if _, err := c.Write(request); err != nil {
		return a, err
	}
	length := -1
	for first := true; ; first = false {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return a, err
		}
		if first {
			if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return a, err
			}
			continue
		}
		if len(line) <= 2 {
			break
		}
		a.header = append(a.header, line...)
		if v, ok := cutFold(line, "content-length: "); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return a, err
			}
		}
		if _, ok := cutFold(line, "transfer-encoding: "); ok {
			length = -2
		}
	}
	switch {
	case a.status == 204 || a.status == 304:
		return a, nil
	case length == -2:
		return a, c.chunks(&a)
	case length < 0:
		return a, errChunked
	}
	a.body = make([]byte, length)
	_, err = io.ReadFull(c.r, a.body)
	return a, err
}

func (c *connection) chunks(a *answer) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return err
		}
		part := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, part); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		a.body = append(a.body, part[:n]...)
	}
}

func cutFold(line []byte, prefix string) ([]byte, bool) {
	if len(line) < len(prefix) || !bytes.EqualFold(line[:len(prefix)], []byte(prefix)) {
		return nil, false
	}
	return line[len(prefix):], true
}

// result is one run.
type result struct {
	perSecond float64
	p50, p99  time.Duration
	failed    int64
}

const workers = 64

// load runs op in a closed loop on 64 workers for that long. op gets the worker's number
// and says whether it worked.
func load(length time.Duration, op func(worker, n int) bool) result {
	var all sync.WaitGroup
	var failed atomic.Int64
	took := make([][]time.Duration, workers)
	begun := time.Now()
	for w := range workers {
		all.Go(func() {
			for n := 0; time.Since(begun) < length; n++ {
				at := time.Now()
				if !op(w, n) {
					failed.Add(1)
				}
				took[w] = append(took[w], time.Since(at))
			}
		})
	}
	all.Wait()
	spent := time.Since(begun)
	every := slices.Concat(took...)
	slices.Sort(every)
	if len(every) == 0 {
		return result{}
	}
	return result{
		perSecond: float64(len(every)) / spent.Seconds(),
		p50:       every[len(every)/2], p99: every[len(every)*99/100], failed: failed.Load(),
	}
}

// middle is the run with the median rate.
func middle(runs []result) result {
	slices.SortFunc(runs, func(a, b result) int { return int(a.perSecond - b.perSecond) })
	m := runs[len(runs)/2]
	for _, r := range runs {
		m.failed = max(m.failed, r.failed)
	}
	return m
}

// sender returns an op that sends requests, chosen by n, and expects a status.
func sender(address string, want int, requests [][]byte) func(worker, n int) bool {
	conns := make([]connection, workers)
	for i := range conns {
		conns[i].address = address
	}
	return func(w, n int) bool {
		a, err := conns[w].do(requests[(w*7919+n*31)%len(requests)])
		if err != nil || a.status != want {
			if complaints.Add(1) <= 3 {
				fmt.Printf("<!-- %d %v %.200s -->\n", a.status, err, a.body)
			}
			return false
		}
		return true
	}
}

var complaints atomic.Int64
