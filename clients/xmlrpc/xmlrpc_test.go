package xmlrpc_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/clients/xmlrpc"
)

func TestValuesComeBack(t *testing.T) {
	t.Parallel()
	values := []any{
		nil, true, false, int64(0), int64(-7), int64(math.MaxInt32), int64(math.MaxInt32) + 1, int64(math.MinInt64),
		1.5, 1741083072.34568, "", "a < b & \"c\" > 'd'", " lines\r\nand\ttabs ", "Dvořák 🌾 \ufffd", []byte{0, 1, 255}, []byte{},
		time.Date(2025, 3, 4, 10, 11, 12, 0, time.UTC),
		[]any{}, []any{nil, []any{"x"}}, map[string]any{}, map[string]any{"a&b": int64(1), "": []any{map[string]any{"c": nil}}},
	}
	for _, value := range values {
		t.Run(fmt.Sprintf("%T %.20v", value, value), func(t *testing.T) {
			t.Parallel()
			call, err := xmlrpc.EncodeCall("m.n", value, "last")
			if err != nil {
				t.Fatal(err)
			}
			method, args, err := xmlrpc.DecodeCall(call)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]any{"m.n", value, "last"}, append([]any{method}, args...)); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
			answer, err := xmlrpc.EncodeResponse(value)
			if err != nil {
				t.Fatal(err)
			}
			got, err := xmlrpc.DecodeResponse(answer)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(value, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	deep := any("x")
	for range xmlrpc.MaxDepth + 1 {
		deep = []any{deep}
	}
	for name, value := range map[string]any{"not a number": math.NaN(), "infinity": math.Inf(-1), "control character": "a\x00b",
		"not UTF-8": "a\xff", "a type of its own": struct{}{}, "too deep": deep, "name of a member": map[string]any{"\x01": 1}} {
		if b, err := xmlrpc.EncodeCall("m", value); err == nil {
			t.Errorf("%s was written as %s", name, b)
		}
	}
}

func answer(value string) string {
	return "<?xml version='1.0'?>\n<methodResponse><params><param><value>" + value + "</value></param></params></methodResponse>\n"
}

func TestHowOthersWrite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		want        any
	}{
		{"untyped string", "plain &amp; simple", "plain & simple"},
		{"nothing", "", ""},
		{"blanks around a type", "\n  <int> 5 </int>\n", int64(5)},
		{"i4", "<i4>-1</i4>", int64(-1)},
		{"i8", "<i8>4294967296</i8>", int64(1 << 32)},
		{"nil with a prefix", "<ex:nil xmlns:ex='http://ws.apache.org/xmlrpc/namespaces/extensions'/>", nil},
		{"exponent", "<double>1e3</double>", 1000.0},
		{"base64 with line breaks", "<base64>\nYWJj\nZGVm\n</base64>", []byte("abcdef")},
		{"time with dashes", "<dateTime.iso8601>2025-03-04T10:11:12Z</dateTime.iso8601>", time.Date(2025, 3, 4, 10, 11, 12, 0, time.UTC)},
		{"indented struct", "<struct>\n <member>\n <name>a</name>\n <value><boolean>1</boolean></value>\n </member>\n</struct>", map[string]any{"a": true}},
		{"comment and CDATA", "<string><!-- x --><![CDATA[<b>]]></string>", "<b>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := xmlrpc.DecodeResponse([]byte(answer(test.value)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	body, err := xmlrpc.EncodeFault(&xmlrpc.Fault{Code: 1000, Text: "No such build: <x>"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = xmlrpc.DecodeResponse(body)
	fault, ok := errors.AsType[*xmlrpc.Fault](err)
	if !ok || fault.Code != 1000 || fault.Text != "No such build: <x>" {
		t.Errorf("error = %v", err)
	}
}

func TestWhatIsNotXMLRPC(t *testing.T) {
	t.Parallel()
	many := "<array><data>" + strings.Repeat("<value/>", xmlrpc.MaxValues+1) + "</data></array>"
	deep := strings.Repeat("<array><data><value>", xmlrpc.MaxDepth+1) + strings.Repeat("</value></data></array>", xmlrpc.MaxDepth+1)
	for name, body := range map[string]string{
		"nothing":                "",
		"a page":                 "<html><body>Maintenance</body></html>",
		"half an answer":         answer("<string>x</string>")[:70],
		"no parameter":           "<methodResponse><params></params></methodResponse>",
		"two parameters":         "<methodResponse><params><param><value>a</value></param><param><value>b</value></param></params></methodResponse>",
		"more after the end":     answer("x") + "<more/>",
		"text after the end":     answer("x") + "more",
		"a document type":        "<!DOCTYPE x [<!ENTITY e 'boom'>]>" + answer("&e;"),
		"an entity":              answer("&e;"),
		"an unknown type":        answer("<float>1</float>"),
		"a large number":         answer("<int>9223372036854775808</int>"),
		"no boolean":             answer("<boolean>yes</boolean>"),
		"not a number":           answer("<double>nan</double>"),
		"bad base64":             answer("<base64>!</base64>"),
		"bad time":               answer("<dateTime.iso8601>now</dateTime.iso8601>"),
		"a full nil":             answer("<nil>x</nil>"),
		"text beside a type":     answer("a<int>5</int>"),
		"two types":              answer("<int>5</int><int>6</int>"),
		"crossed ends":           answer("<string>x</value></string>"),
		"a member without value": answer("<struct><member><name>a</name></member></struct>"),
		"an array without data":  answer("<array></array>"),
		"too deep":               answer(deep),
		"too many":               answer(many),
		"a fault without code":   "<methodResponse><fault><value>x</value></fault></methodResponse>",
		"neither of the two":     "<methodResponse><value>x</value></methodResponse>",
		"too large":              answer(strings.Repeat("x", xmlrpc.MaxSize)),
		"Latin-1":                "<?xml version='1.0' encoding='ISO-8859-1'?><methodResponse><params><param><value>\xe4</value></param></params></methodResponse>",
	} {
		value, err := xmlrpc.DecodeResponse([]byte(body))
		if err == nil {
			t.Errorf("%s was read as %.60v", name, value)
		}
		if _, isFault := errors.AsType[*xmlrpc.Fault](err); isFault {
			t.Errorf("%s was read as a fault: %v", name, err)
		}
	}
	for _, body := range []string{"<methodCall><params></params></methodCall>", "<methodCall><methodName> </methodName><params></params></methodCall>", answer("x")} {
		if method, _, err := xmlrpc.DecodeCall([]byte(body)); err == nil {
			t.Errorf("%s was read as a call of %q", body, method)
		}
	}
}

func TestInto(t *testing.T) {
	t.Parallel()
	var out struct {
		ID    int64    `json:"id"`
		Label *string  `json:"label"`
		Names []string `json:"names"`
	}
	if err := xmlrpc.Into(map[string]any{"id": int64(1) << 60, "label": nil, "names": []any{"a"}, "other": 1.5}, &out); err != nil {
		t.Fatal(err)
	}
	if out.ID != 1<<60 || out.Label != nil || len(out.Names) != 1 {
		t.Errorf("%+v", out)
	}
	if err := xmlrpc.Into(map[string]any{"id": "five"}, &out); err == nil {
		t.Error("a text was taken for a number")
	}
}

// FuzzDecode checks that whatever is read can be written, and is the same when
// it is read again.
func FuzzDecode(f *testing.F) {
	for _, value := range []string{"", "<int>5</int>", "<nil/>", "<struct><member><name>a</name><value><array><data><value>x</value></data></array></value></member></struct>",
		"<double>-0.25</double>", "<base64>AAEC</base64>", "<dateTime.iso8601>20250304T10:11:12</dateTime.iso8601>", "&#13;&lt;"} {
		f.Add([]byte(answer(value)))
	}
	f.Add([]byte("<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member>" +
		"<member><name>faultString</name><value>x</value></member></struct></value></fault></methodResponse>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := xmlrpc.DecodeResponse(body)
		if err != nil {
			return
		}
		written, err := xmlrpc.EncodeResponse(value)
		if err != nil {
			t.Fatalf("%#v was read but cannot be written: %v", value, err)
		}
		again, err := xmlrpc.DecodeResponse(written)
		if err != nil {
			t.Fatalf("%s was written but cannot be read: %v", written, err)
		}
		if diff := cmp.Diff(value, again); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
