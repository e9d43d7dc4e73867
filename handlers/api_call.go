package handlers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"patchbay/connect"
)

type callBody struct {
	Method  *string                    `json:"method"`
	Host    *string                    `json:"host"`
	Path    string                     `json:"path"`
	Query   map[string]json.RawMessage `json:"query"`
	Headers map[string]string          `json:"headers"`
	Body    json.RawMessage            `json:"body"`
}

// callAPI is callApi: a call of a provider's API, made by us.
func (s *Server) callAPI(c *call) error {
	var b callBody
	if err := c.body(&b); err != nil {
		return err
	}
	q := connect.APIRequest{Method: http.MethodGet, Path: b.Path, Header: b.Headers, Query: url.Values{}}
	if b.Method != nil {
		q.Method = *b.Method
	}
	if b.Host != nil {
		if q.Host = *b.Host; q.Host == "" {
			return &connect.Error{Code: connect.CodeInvalidRequest, Message: "host must be the name of one of the connector's API hosts, or be left out."}
		}
	}
	if b.Body != nil && !bytes.Equal(b.Body, []byte("null")) {
		q.Body = b.Body
	}
	for name, raw := range b.Query {
		values, ok := queryValues(raw)
		if !ok {
			return &connect.Error{Code: connect.CodeInvalidRequest, Message: "A value of query must be a string, a number, a boolean, or a list of strings and numbers."}
		}
		q.Query[name] = values
	}
	answer, err := s.Service.CallAPI(c.Request().Context(), c.app.ID, param(c, "type"), q)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, callJSONOf(answer))
}

type callJSON struct {
	Success    bool              `json:"success"`
	Phase      connect.Phase     `json:"phase"`
	StatusCode *int              `json:"status_code"`
	Data       json.RawMessage   `json:"data"`
	DataBase64 *string           `json:"data_base64"`
	MediaType  *string           `json:"content_type"`
	Headers    map[string]string `json:"headers"`
	Credits    int               `json:"credits_charged"`
}

func callJSONOf(a connect.APIResponse) callJSON {
	out := callJSON{Success: a.Success(), Phase: a.Phase, Data: a.Data, Headers: a.Header}
	if a.Status != 0 {
		out.StatusCode = &a.Status
	}
	if out.Headers == nil {
		out.Headers = map[string]string{}
	}
	if a.Binary != nil {
		text := base64.StdEncoding.EncodeToString(a.Binary)
		out.DataBase64, out.MediaType = &text, &a.MediaType
	}
	if a.Problem != "" {
		out.Data, _ = json.Marshal(map[string]string{"error": a.Problem})
	}
	if out.Data == nil {
		out.Data = json.RawMessage("null")
	}
	return out
}

// queryValues reads one value of a query, or a list of them. Numbers stay as they were
// written.
func queryValues(raw json.RawMessage) ([]string, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	items, many := v.([]any)
	if !many {
		items = []any{v}
	}
	out := []string{}
	for _, item := range items {
		switch x := item.(type) {
		case string:
			out = append(out, x)
		case json.Number:
			out = append(out, x.String())
		case bool:
			text, _ := json.Marshal(x)
			out = append(out, string(text))
		default:
			return nil, false
		}
	}
	return out, true
}
