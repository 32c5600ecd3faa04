package celeriac

import (
	"fmt"
	"reflect"
	"strings"
)

// Scenario is the body of begin: what a driver needs to know before it may be asked anything.
type Scenario struct {
	ID        string `wire:"id,required"`
	BrokerURL string `wire:"broker_url,required"`
	// BackendURL is rpc://, redis://... or nil for no result back end.
	BackendURL *string `wire:"backend_url,required"`
	// Queue is the default queue of the scenario.
	Queue string `wire:"queue,required"`
	// Settings are further settings under Celery's names.
	Settings map[string]any `wire:"settings"`
	// TaskAttributes are attributes of probe tasks, by the name of the probe.
	TaskAttributes map[string]any `wire:"task_attributes"`
	// Fresh says that nothing may be left over from earlier scenarios.
	Fresh bool `wire:"fresh"`
}

// Call is the body of call: one use of the calling API.
type Call struct {
	Task   string         `wire:"task,required"`
	Args   []any          `wire:"args"`
	Kwargs map[string]any `wire:"kwargs"`
	// Mode is apply_async, delay, send_task, signature or direct.
	Mode string `wire:"mode"`
	// Options are execution options under the names of the guide.
	Options map[string]any `wire:"options"`
	// Signature, if there is one, is called in place of the task.
	Signature *Signature `wire:"signature"`
}

// WorkerSpec is the body of start_worker.
type WorkerSpec struct {
	Name      string `wire:"name,required"`
	BrokerURL string `wire:"broker_url,required"`
	// Queues is what the worker consumes; without any it is started as if nobody had named one.
	Queues   []string       `wire:"queues,required"`
	Settings map[string]any `wire:"settings"`
}

// StopWorker is the body of stop_worker; How is warm, cold or kill.
type StopWorker struct {
	Name string `wire:"name,required"`
	How  string `wire:"how"`
}

// GetResult is the body of get_result.
type GetResult struct {
	TaskID string `wire:"task_id,required"`
	// Timeout is in seconds, nil to wait for ever.
	Timeout   *float64 `wire:"timeout,required"`
	Propagate bool     `wire:"propagate"`
	// OnMessage is false, true or "raise".
	OnMessage any `wire:"on_message"`
}

// State is the body of state.
type State struct {
	TaskID string `wire:"task_id,required"`
}

// Nothing is the body of end.
type Nothing struct{}

func (c *Call) setDefaults()       { c.Mode = "apply_async" }
func (s *StopWorker) setDefaults() { s.How = "warm" }
func (g *GetResult) setDefaults()  { g.Propagate, g.OnMessage = true, false }

// On answers a handler that is given the body of its request as a struct, one of the above or the driver's own, whose
// tags say what its fields are called on the wire. A body that does not fit it is answered broken.
func On[Body any](perform func(Body) Answer) Handler {
	return func(values map[string]any) Answer {
		var body Body
		if defaults, ok := any(&body).(interface{ setDefaults() }); ok {
			defaults.setDefaults()
		}
		if err := fill(reflect.ValueOf(&body).Elem(), values); err != nil {
			return unreadable(err)
		}
		return perform(body)
	}
}

// fill sets what a value of the wire is to be in Go.
func fill(target reflect.Value, value any) error {
	source := reflect.ValueOf(value)
	switch kind := target.Kind(); {
	case value == nil:
		return fillNil(target)
	case source.Type().AssignableTo(target.Type()):
		target.Set(source)
		return nil
	case kind == reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		return fill(target.Elem(), value)
	case kind == reflect.Float64 && source.CanInt():
		target.SetFloat(float64(source.Int()))
		return nil
	case kind == reflect.Slice && source.Kind() == reflect.Slice:
		return fillSlice(target, source)
	case kind == reflect.Struct && source.Type() == reflect.TypeFor[map[string]any]():
		return fillStruct(target, value.(map[string]any))
	}
	return fmt.Errorf("expected %s, not the %T %v", target.Type(), value, value)
}

func fillNil(target reflect.Value) error {
	switch target.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		target.SetZero()
		return nil
	}
	return fmt.Errorf("expected %s, not null", target.Type())
}

func fillSlice(target, source reflect.Value) error {
	target.Set(reflect.MakeSlice(target.Type(), source.Len(), source.Len()))
	for i := range source.Len() {
		if err := fill(target.Index(i), source.Index(i).Interface()); err != nil {
			return err
		}
	}
	return nil
}

func fillStruct(target reflect.Value, values map[string]any) error {
	known := map[string]bool{}
	for i := range target.NumField() {
		tag := target.Type().Field(i).Tag.Get("wire")
		name, required := strings.CutSuffix(tag, ",required")
		known[name] = true
		value, there := values[name]
		if !there && required {
			return fmt.Errorf("%s is incomplete: it has no %q", target.Type(), name)
		}
		if !there {
			continue
		}
		if err := fill(target.Field(i), value); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	for name := range values {
		if !known[name] {
			return fmt.Errorf("%s has no %q", target.Type(), name)
		}
	}
	return nil
}
