// A driver of nothing: it answers what it was asked, or does what the name of a task tells it to do wrong.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync"

	"driver/celeriac"
)

var misdeeds = map[string]func() celeriac.Answer{
	"panic":  func() celeriac.Answer { panic("oops") },
	"nil":    func() celeriac.Answer { return nil },
	"long":   func() celeriac.Answer { return value(strings.Repeat("x", celeriac.LineLimit)) },
	"opaque": func() celeriac.Answer { return value([]any{struct{ X int }{7}, "\xff"}) },
	"raised": func() celeriac.Answer {
		return celeriac.Raised{Category: "encode", Type: "json.Error", Text: "no\xff", Effect: "none", Cause: "chan"}
	},
}

func main() {
	server, err := celeriac.NewServer(celeriac.Hello{
		Implementation: "echo", Version: "1.0", Missing: map[string]string{"yaml": "not here"},
	})
	if err != nil {
		log.Fatal(err)
	}
	server.Handle("begin", celeriac.On(func(scenario celeriac.Scenario) celeriac.Answer { return chatter(server) }))
	server.Handle("call", celeriac.On(call))
	server.Handle("get_result", celeriac.On(func(wait celeriac.GetResult) celeriac.Answer {
		return value([]any{wait.Timeout == nil, wait.Propagate, wait.OnMessage})
	}))
	server.Handle("state", celeriac.On(func(asked celeriac.State) celeriac.Answer {
		return celeriac.Ok{Value: asked.TaskID}
	}))
	if err := server.Serve(); err != nil {
		log.Fatal(err)
	}
}

func call(asked celeriac.Call) celeriac.Answer {
	if misdeed, ok := misdeeds[asked.Task]; ok {
		return misdeed()
	}
	return value([]any{asked.Args, asked.Mode, asked.Options})
}

func value(given any) celeriac.Answer {
	return celeriac.Ok{Value: map[string]any{"value": given}}
}

// chatter prints on standard output, and lets a child do so and look at standard input, while many emit events.
func chatter(server *celeriac.Server) celeriac.Answer {
	var all sync.WaitGroup
	for worker := range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range 50 {
				fmt.Println("chatter of the driver")
				data := map[string]any{"worker": fmt.Sprintf("w%d", worker), "attempt": i, "task_id": "t", "args": celeriac.Tuple{i}}
				if err := server.Emit(celeriac.Event{Kind: "started", Data: data}); err != nil {
					log.Fatal(err)
				}
			}
		}()
	}
	child := exec.Command("sh", "-c", "cat; echo chatter of a child")
	child.Stdin, child.Stdout = os.Stdin, os.Stdout
	if err := child.Run(); err != nil {
		return celeriac.Broken{Detail: err.Error()}
	}
	all.Wait()
	return celeriac.Ok{}
}
