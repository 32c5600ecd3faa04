package celeriac

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Tuple, Set and Map are collections that JSON does not have. A Map is its pairs, for its keys may be anything.
type (
	Tuple []any
	Set   []any
	Map   [][2]any
)

// Signature is a call that waits: a link, or a member of a composition.
type Signature struct {
	Task      string         `wire:"task,required"`
	Args      []any          `wire:"args"`
	Kwargs    map[string]any `wire:"kwargs"`
	Options   map[string]any `wire:"options"`
	Immutable bool           `wire:"immutable"`
}

// Opaque is what is left of a value that cannot travel: its type, and how it looks.
type Opaque struct {
	Type string `wire:"type,required"`
	Repr string `wire:"repr,required"`
}

// Tagged is a value for which Go has no type of its own; sent back, it is what it was. So travel a decimal, a uuid,
// a date, a time, a datetime without an offset, a timedelta beyond a time.Duration, and the native objects error,
// exchange, queue and router.
type Tagged struct {
	Name  string
	Value any
}

// ToJSON answers what encoding/json makes the wire form of a Go value of. What has no such form becomes opaque.
func ToJSON(value any) any {
	switch value := value.(type) {
	case nil:
		return nil
	case []byte:
		return tag("bytes", base64.StdEncoding.EncodeToString(value))
	case time.Time:
		return tag("datetime", value.Format("2006-01-02T15:04:05.999999-07:00"))
	case time.Duration:
		return tag("timedelta", parts(value))
	case *big.Int:
		return json.Number(value.String())
	case complex128:
		return tag("complex", ToJSON([]any{real(value), imag(value)}))
	case Tuple:
		return tag("tuple", ToJSON([]any(value)))
	case Set:
		return tag("set", ToJSON([]any(value)))
	case Map:
		return pairs(value)
	case Signature:
		return tag("signature", value.fields())
	case Opaque:
		return tag("opaque", map[string]any{"type": text(value.Type), "repr": text(value.Repr)})
	case Tagged:
		return tag(value.Name, ToJSON(value.Value))
	}
	return byKind(value)
}

// byKind converts what is a JSON value but for the name of its Go type.
func byKind(value any) any {
	native := reflect.ValueOf(value)
	switch native.Kind() {
	case reflect.Bool:
		return native.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return native.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return native.Uint()
	case reflect.Float32, reflect.Float64:
		return number(native.Float())
	case reflect.String:
		if utf8.ValidString(native.String()) {
			return native.String()
		}
	case reflect.Slice, reflect.Array:
		items := make([]any, native.Len())
		for i := range items {
			items[i] = ToJSON(native.Index(i).Interface())
		}
		return items
	case reflect.Map:
		return mapping(native)
	}
	return ToJSON(Opaque{fmt.Sprintf("%T", value), fmt.Sprintf("%#v", value)})
}

func tag(name string, payload any) map[string]any {
	return map[string]any{"$": name, "v": payload}
}

// text answers a text as UTF-8, which is all that may stand in a field of an answer.
func text(given string) string {
	return strings.ToValidUTF8(given, string(utf8.RuneError))
}

// number lets a whole float be one on the wire, too: encoding/json would write 1, not 1.0.
func number(value float64) any {
	switch {
	case math.IsNaN(value):
		return tag("float", "nan")
	case math.IsInf(value, 0):
		return tag("float", strings.TrimPrefix(strings.ToLower(fmt.Sprint(value)), "+"))
	}
	digits := strconv.FormatFloat(value, 'g', -1, 64)
	if !strings.ContainsAny(digits, ".e") {
		digits += ".0"
	}
	return json.Number(digits)
}

func mapping(native reflect.Value) any {
	items := make(map[string]any, native.Len())
	all := make(Map, 0, native.Len())
	plain := true
	for _, key := range native.MapKeys() {
		item := native.MapIndex(key).Interface()
		name, isText := ToJSON(key.Interface()).(string)
		if plain = plain && isText && name != "$"; plain {
			items[name] = ToJSON(item)
		}
		all = append(all, [2]any{key.Interface(), item})
	}
	if plain {
		return items
	}
	return pairs(all)
}

func pairs(given Map) any {
	payload := make([]any, len(given))
	for i, pair := range given {
		payload[i] = []any{ToJSON(pair[0]), ToJSON(pair[1])}
	}
	return tag("map", payload)
}

// parts answers days, seconds and microseconds, all of one sign.
func parts(given time.Duration) any {
	const day = 24 * time.Hour
	return []any{int64(given / day), int64(given % day / time.Second), int64(given % time.Second / time.Microsecond)}
}

func (s Signature) fields() any {
	return map[string]any{
		"task": s.Task, "args": ToJSON(Tuple(s.Args)), "kwargs": object(s.Kwargs), "options": object(s.Options),
		"immutable": s.Immutable,
	}
}

func object(given map[string]any) any {
	if given == nil {
		given = map[string]any{}
	}
	return ToJSON(given)
}
