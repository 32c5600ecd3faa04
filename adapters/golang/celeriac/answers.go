package celeriac

import "time"

// Answer is one of Ok, Raised, Unsupported and Broken; every request gets exactly one.
type Answer interface {
	// content answers the answer's key on the wire, and what stands under it.
	content() (kind string, value any)
}

// Ok says that it is done, and what the implementation returned.
type Ok struct{ Value any }

// Raised says that the implementation signalled an error to its caller.
type Raised struct {
	// Category is connection, timeout, encode, decode, content-refused, unknown-task, revoked, rejected, retry,
	// bad-argument or other.
	Category string
	// Type and Text are the native type and message.
	Type, Text string
	// Effect says whether the effect of the request happened: none, maybe (also when empty) or done.
	Effect string
	// Cause is the native type of the error that caused it, empty for none.
	Cause string
}

// Unsupported says that the implementation has no such thing; Feature is a name from the claim.
type Unsupported struct{ Feature, Reason string }

// Broken says that the driver itself failed; Detail is for its author.
type Broken struct{ Detail string }

// Event is something that a worker or a probe task reports about itself.
type Event struct {
	// Kind is ready, started, ended, retried, errback or stopped.
	Kind string
	// At is when it happened; now if it is zero.
	At time.Time
	// Data says of which worker and task, and what; the contract of adapters has the names.
	Data map[string]any
}

func (a Ok) content() (kind string, value any) { return "ok", ToJSON(a.Value) }

func (a Raised) content() (kind string, value any) {
	body := map[string]any{"category": a.Category, "type": text(a.Type), "text": text(a.Text), "effect": a.Effect}
	if a.Effect == "" {
		body["effect"] = "maybe"
	}
	if a.Cause != "" {
		body["cause"] = text(a.Cause)
	}
	return "raised", body
}

func (a Unsupported) content() (kind string, value any) {
	return "unsupported", map[string]any{"feature": a.Feature, "reason": text(a.Reason)}
}

func (a Broken) content() (kind string, value any) {
	return "broken", map[string]any{"detail": text(a.Detail)}
}

func (e Event) message() map[string]any {
	at := e.At
	if at.IsZero() {
		at = time.Now()
	}
	data := make(map[string]any, len(e.Data))
	for name, value := range e.Data {
		data[name] = ToJSON(value)
	}
	return map[string]any{"ev": e.Kind, "at": float64(at.UnixMicro()) / 1e6, "data": data}
}
