// Package celeriac serves Celeriac's adapter protocol, so that a driver written in Go is its handlers and nothing else.
//
// The protocol is one JSON object per line: requests on standard input, answers and events on standard output. A
// driver has one handler for each operation that its implementation can perform:
//
//	func main() {
//		server, err := celeriac.NewServer(celeriac.Hello{Implementation: "my client", Version: "0.1"})
//		if err != nil {
//			log.Fatal(err)
//		}
//		server.Handle("begin", celeriac.On(func(scenario celeriac.Scenario) celeriac.Answer { ... }))
//		server.Handle("call", celeriac.On(func(call celeriac.Call) celeriac.Answer { ... }))
//		if err := server.Serve(); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// An operation without a handler is answered unsupported; a request that nobody can read, an operation that the
// protocol does not have and a handler that panics are answered broken. A panic in a goroutine that the
// implementation started itself ends the process, as Go wants it; its stack is then in the harness's report.
//
// The package needs Go 1.22 and the standard library alone. It is no module: a driver's claim takes its files into the
// folder of the driver's own module, which imports them as MODULE/celeriac:
//
//	[build]
//	needs = ["go"]
//	files = ["*.go", "go.*", "../golang/celeriac/*.go"]
//	steps = [["go", "build", "-o", "driver", "."]]
package celeriac

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
)

// Protocol is the version of the adapter protocol that this package speaks.
const Protocol = 1

// LineLimit is the length of the longest line that either side may send, in bytes, its newline included.
const LineLimit = 16 << 20

// Operations are all that the harness may ask for.
var Operations = []string{
	"hello", "begin", "end", "call", "compose", "call_together",
	"start_worker", "stop_worker", "get_result", "state",
}

// Hello is what a driver says of the implementation that it drives.
type Hello struct {
	Implementation string
	Version        string
	// Missing holds the features that the claim names and that cannot be had here, each with the reason.
	Missing map[string]string
}

// Handler performs one operation; the body holds its arguments by name, as FromJSON makes them.
type Handler func(body map[string]any) Answer

// Server reads requests one at a time, in order; events may be emitted by any goroutine in between.
type Server struct {
	handlers map[string]Handler
	in       *bufio.Reader
	mutex    sync.Mutex // held while a line is written
	out      io.Writer
}

var errTooLong = fmt.Errorf("a line of more than %d bytes", LineLimit)

// NewServer takes over standard input and output. From then on whatever else the process or its children print goes
// to standard error, and they find their standard input empty.
func NewServer(about Hello) (*Server, error) {
	in, out, err := takeStdio()
	if err != nil {
		return nil, fmt.Errorf("standard input and output cannot be taken over: %w", err)
	}
	server := &Server{handlers: map[string]Handler{}, in: bufio.NewReaderSize(in, 64<<10), out: out}
	server.handlers["hello"] = func(map[string]any) Answer { return Ok{about.value()} }
	return server, nil
}

// Handle lets a handler perform an operation. It panics on one that the protocol does not have.
func (s *Server) Handle(operation string, handler Handler) {
	if !slices.Contains(Operations, operation) {
		panic(fmt.Sprintf("the protocol has no operation %q; it has: %s", operation, strings.Join(Operations, ", ")))
	}
	s.handlers[operation] = handler
}

// Serve answers requests until the input ends, which is how the harness says goodbye, or nobody reads the answers.
func (s *Server) Serve() error {
	for {
		line, err := s.readLine()
		switch {
		case errors.Is(err, errTooLong):
			err = s.reply(nil, unreadable(err))
		case err == nil:
			err = s.reply(s.answer(line))
		case errors.Is(err, io.EOF):
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Emit reports an event to the harness.
func (s *Server) Emit(event Event) error {
	return s.send(event.message())
}

// readLine answers the next line. Of one that is too long nothing is kept, and the next call reads on behind it.
func (s *Server) readLine() ([]byte, error) {
	var line []byte
	length := 0
	for {
		part, err := s.in.ReadSlice('\n')
		if length += len(part); length <= LineLimit {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (length == 0 || !errors.Is(err, io.EOF)):
			return nil, err
		case length > LineLimit:
			return nil, errTooLong
		}
		return line, nil
	}
}

func (s *Server) answer(line []byte) (id any, answer Answer) {
	message, err := parse(line)
	if err != nil {
		return nil, unreadable(err)
	}
	id = requestID(message["id"])
	operation, _ := message["op"].(string)
	if !slices.Contains(Operations, operation) {
		return id, Broken{fmt.Sprintf("unknown operation %q; known: %s", message["op"], strings.Join(Operations, ", "))}
	}
	handler, ok := s.handlers[operation]
	if !ok {
		return id, Unsupported{operation, "this driver has no such operation"}
	}
	value, err := FromJSON(message["body"])
	if err != nil {
		return id, unreadable(err)
	}
	body, ok := value.(map[string]any)
	if !ok {
		return id, unreadable(fmt.Errorf("the body of %q is an object, not %v", operation, value))
	}
	return id, perform(operation, handler, body)
}

// perform calls a handler. Whatever it does wrong is the driver's fault, never the implementation's.
func perform(operation string, handler Handler, body map[string]any) (answer Answer) {
	defer func() {
		if reason := recover(); reason != nil {
			answer = Broken{fmt.Sprintf("the driver panicked in %q: %v\n%s", operation, reason, debug.Stack())}
		}
	}()
	if answer = handler(body); answer == nil {
		return Broken{fmt.Sprintf("%q answered nil, expected one of Ok, Raised, Unsupported, Broken", operation)}
	}
	return answer
}

func (s *Server) reply(id any, answer Answer) error {
	kind, content := answer.content()
	err := s.send(map[string]any{"id": id, kind: content})
	if errors.Is(err, errTooLong) {
		kind, content = Broken{fmt.Sprintf("the answer cannot be sent: %v", err)}.content()
		err = s.send(map[string]any{"id": id, kind: content})
	}
	return err
}

func (s *Server) send(message map[string]any) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(message); err != nil {
		return err
	}
	if line.Len() > LineLimit {
		return errTooLong
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_, err := s.out.Write(line.Bytes())
	return err
}

func (h Hello) value() map[string]any {
	missing := map[string]any{}
	for feature, reason := range h.Missing {
		missing[feature] = reason
	}
	return map[string]any{
		"protocol": Protocol, "implementation": h.Implementation, "version": h.Version, "missing": missing,
	}
}

// parse answers the JSON object on a line, with its numbers as they are written.
func parse(line []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var message map[string]any
	if err := decoder.Decode(&message); err != nil {
		return nil, fmt.Errorf("not a line with a JSON object (%w): %.200q", err, line)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the JSON object: %.200q", line)
	}
	if message == nil {
		return nil, errors.New("a message is a JSON object, not null")
	}
	return message, nil
}

// requestID answers the id to be repeated, nil for one that is no integer.
func requestID(id any) any {
	number, ok := id.(json.Number)
	if _, whole := new(big.Int).SetString(number.String(), 10); ok && whole {
		return number
	}
	return nil
}

func unreadable(err error) Answer {
	return Broken{fmt.Sprintf("the driver cannot read a request: %v", err)}
}
