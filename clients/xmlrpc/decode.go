package xmlrpc

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// DecodeCall reads a call.
func DecodeCall(body []byte) (method string, args []any, err error) {
	d, err := begin(body, "methodCall")
	if err == nil {
		err = d.open("methodName")
	}
	if err == nil {
		method, err = d.text("methodName")
	}
	if err == nil {
		args, err = d.params()
	}
	if err == nil {
		err = d.end("methodCall")
	}
	if err != nil {
		return "", nil, fmt.Errorf("reading a call: %w", err)
	}
	if method = strings.TrimSpace(method); method == "" {
		return "", nil, errors.New("reading a call: it names no method")
	}
	return method, args, nil
}

// DecodeResponse reads the answer to a call. The error is a *Fault if the
// server refused it; anything else means that the answer could not be read.
func DecodeResponse(body []byte) (any, error) {
	value, fault, err := decodeResponse(body)
	if err != nil {
		return nil, fmt.Errorf("reading an answer: %w", err)
	}
	if fault != nil {
		return nil, fault
	}
	return value, nil
}

func decodeResponse(body []byte) (any, *Fault, error) {
	d, err := begin(body, "methodResponse")
	if err != nil {
		return nil, nil, err
	}
	name, err := d.start()
	if err != nil {
		return nil, nil, err
	}
	switch name {
	case "params":
		values, err := d.paramsBody()
		if err == nil && len(values) != 1 {
			err = fmt.Errorf("it has %d values in place of one", len(values))
		}
		if err == nil {
			err = d.end("methodResponse")
		}
		if err != nil {
			return nil, nil, err
		}
		return values[0], nil, nil
	case "fault":
		err := d.open("value")
		var value any
		if err == nil {
			value, err = d.value(0)
		}
		if err == nil {
			err = d.close("fault")
		}
		if err == nil {
			err = d.end("methodResponse")
		}
		if err != nil {
			return nil, nil, err
		}
		fault, err := FaultOf(value)
		return nil, fault, err
	}
	return nil, nil, fmt.Errorf("<%s> has no place in it", name)
}

// FaultOf reads the struct that stands for a fault, as multicalls have it
// among their results.
func FaultOf(value any) (*Fault, error) {
	members, _ := value.(map[string]any)
	code, hasCode := members["faultCode"].(int64)
	text, hasText := members["faultString"].(string)
	if !hasCode || !hasText {
		return nil, errors.New("it has a fault without code and text")
	}
	return &Fault{Code: code, Text: text}, nil
}

// decoder walks through a document. A function that reads an element is called
// when its start has been read, and has read its end when it returns.
type decoder struct {
	xml    *xml.Decoder
	values int
}

func begin(body []byte, root string) (*decoder, error) {
	if len(body) > MaxSize {
		return nil, fmt.Errorf("it is larger than %d bytes", MaxSize)
	}
	d := &decoder{xml: xml.NewDecoder(bytes.NewReader(body))}
	return d, d.open(root)
}

// token returns the next start, end or text.
func (d *decoder) token() (xml.Token, error) {
	for {
		token, err := d.xml.RawToken()
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		switch token.(type) {
		case xml.StartElement, xml.EndElement, xml.CharData:
			return token, nil
		case xml.Directive: // may declare entities
			return nil, errors.New("it has a document type")
		}
	}
}

// next returns the next start or end, between which there is no text.
func (d *decoder) next() (start, end string, err error) {
	for {
		token, err := d.token()
		if err != nil {
			return "", "", err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t.Name.Local, "", nil
		case xml.EndElement:
			return "", t.Name.Local, nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return "", "", errors.New("there is text between the elements")
			}
		}
	}
}

func (d *decoder) start() (string, error) {
	start, end, err := d.next()
	if err == nil && start == "" {
		err = fmt.Errorf("</%s> comes too early", end)
	}
	return start, err
}

func (d *decoder) open(name string) error {
	start, err := d.start()
	if err == nil && start != name {
		err = fmt.Errorf("<%s> stands in the place of <%s>", start, name)
	}
	return err
}

func (d *decoder) close(name string) error {
	start, end, err := d.next()
	if err == nil && end != name {
		err = fmt.Errorf("<%s%s> stands in the place of </%s>", start, end, name)
	}
	return err
}

// end reads the end of the root, after which there is nothing.
func (d *decoder) end(root string) error {
	if err := d.close(root); err != nil {
		return err
	}
	for {
		token, err := d.xml.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// Python's library ends its documents with a line break.
		if text, ok := token.(xml.CharData); !ok || len(bytes.TrimSpace(text)) > 0 {
			return errors.New("there is more after its end")
		}
	}
}

// params reads the arguments of a call; a call without any may leave the
// element out, but none that we know does.
func (d *decoder) params() ([]any, error) {
	if err := d.open("params"); err != nil {
		return nil, err
	}
	return d.paramsBody()
}

func (d *decoder) paramsBody() ([]any, error) {
	values := []any{}
	for {
		start, _, err := d.next()
		if err != nil || start == "" {
			return values, err
		}
		if start != "param" {
			return nil, fmt.Errorf("<%s> stands among the parameters", start)
		}
		err = d.open("value")
		var value any
		if err == nil {
			value, err = d.value(0)
		}
		if err == nil {
			err = d.close("param")
		}
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
}

// value reads what is in <value>: text, which is a string, or one element.
func (d *decoder) value(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", MaxDepth)
	}
	if d.values++; d.values > MaxValues {
		return nil, fmt.Errorf("it has more than %d values", MaxValues)
	}
	var text []byte
	for {
		token, err := d.token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			if t.Name.Local != "value" {
				return nil, fmt.Errorf("</%s> ends a value", t.Name.Local)
			}
			return string(text), nil
		case xml.StartElement:
			if len(bytes.TrimSpace(text)) > 0 {
				return nil, errors.New("a value has text beside its type")
			}
			value, err := d.typed(t.Name.Local, depth)
			if err != nil {
				return nil, err
			}
			return value, d.close("value")
		}
	}
}

func (d *decoder) typed(name string, depth int) (any, error) {
	switch name {
	case "array":
		return d.array(depth)
	case "struct":
		return d.members(depth)
	}
	text, err := d.text(name)
	if err != nil {
		return nil, err
	}
	if name == "string" {
		return text, nil
	}
	value, err := scalar(name, strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("<%s> with %.40q: %w", name, text, err)
	}
	return value, nil
}

// text reads an element that holds nothing else.
func (d *decoder) text(name string) (string, error) {
	var text []byte
	for {
		token, err := d.token()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			if t.Name.Local != name {
				return "", fmt.Errorf("</%s> ends <%s>", t.Name.Local, name)
			}
			return string(text), nil
		case xml.StartElement:
			return "", fmt.Errorf("<%s> stands in <%s>", t.Name.Local, name)
		}
	}
}

func (d *decoder) array(depth int) ([]any, error) {
	if err := d.open("data"); err != nil {
		return nil, err
	}
	values := []any{}
	for {
		start, end, err := d.next()
		if err == nil && end == "data" {
			return values, d.close("array")
		}
		if err == nil && start != "value" {
			err = fmt.Errorf("<%s%s> stands in an array", start, end)
		}
		if err != nil {
			return nil, err
		}
		value, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
}

func (d *decoder) members(depth int) (map[string]any, error) {
	members := map[string]any{}
	for {
		start, end, err := d.next()
		if err == nil && end == "struct" {
			return members, nil
		}
		if err == nil && start != "member" {
			err = fmt.Errorf("<%s%s> stands in a struct", start, end)
		}
		if err != nil {
			return nil, err
		}
		name, value, err := d.member(depth)
		if err != nil {
			return nil, err
		}
		members[name] = value // the last one counts, as it does in Python
	}
}

func (d *decoder) member(depth int) (name string, value any, err error) {
	if err = d.open("name"); err == nil {
		name, err = d.text("name")
	}
	if err == nil {
		err = d.open("value")
	}
	if err == nil {
		value, err = d.value(depth + 1)
	}
	if err == nil {
		err = d.close("member")
	}
	return name, value, err
}
