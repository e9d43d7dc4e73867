//go:build linux

package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the floor speaks to the same database
	_ "modernc.org/sqlite"

	"patchbay/views"
)

// floor is the least that a token service does, without deciding anything: what a rate is
// compared with. Same HTTP server, same drivers, same durability, same size of tokens.
type floor struct {
	read, durable, relaxed *sql.DB
	get, start, take, put  *sql.Stmt
	aead                   cipher.AEAD
	provider               string
	page                   views.ListPage
}

func openFloor(database, provider string, page views.ListPage) (*floor, error) {
	f := &floor{provider: provider, page: page}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	if f.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	open := func(n int, lite, pg string) *sql.DB {
		driver, address := "pgx", database
		if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
			driver, address = "sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma="+lite
		} else {
			address += "&" + pg
		}
		db, openErr := sql.Open(driver, address)
		if openErr != nil {
			err = openErr
			return nil
		}
		db.SetMaxOpenConns(n)
		db.SetMaxIdleConns(n)
		return db
	}
	writers := 4
	if strings.HasPrefix(database, "sqlite:") {
		writers = 1
	}
	f.read = open(8, "query_only(1)", "synchronous_commit=on")
	f.durable = open(writers, "synchronous(FULL)", "synchronous_commit=on")
	f.relaxed = open(writers, "synchronous(NORMAL)", "synchronous_commit=off")
	if err != nil {
		return nil, err
	}
	blob := "BLOB"
	if writers > 1 {
		blob = "BYTEA"
	}
	for _, q := range []string{
		`CREATE TABLE IF NOT EXISTS floor_connections (owner TEXT NOT NULL, connector TEXT NOT NULL, sealed ` + blob + ` NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (owner, connector))`,
		`CREATE TABLE IF NOT EXISTS floor_flows (state TEXT NOT NULL PRIMARY KEY, verifier TEXT NOT NULL, owner TEXT NOT NULL)`,
	} {
		if _, err := f.durable.Exec(q); err != nil {
			return nil, err
		}
	}
	for _, s := range []struct {
		into **sql.Stmt
		db   *sql.DB
		text string
	}{
		{&f.get, f.read, `SELECT sealed, expires_at FROM floor_connections WHERE owner = $1 AND connector = $2`},
		{&f.start, f.relaxed, `INSERT INTO floor_flows (state, verifier, owner) VALUES ($1, $2, $3)`},
		{&f.take, f.relaxed, `DELETE FROM floor_flows WHERE state = $1 RETURNING verifier, owner`},
		{&f.put, f.durable, `INSERT INTO floor_connections (owner, connector, sealed, expires_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (owner, connector) DO UPDATE SET sealed = excluded.sealed, expires_at = excluded.expires_at`},
	} {
		if *s.into, err = s.db.Prepare(s.text); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *floor) seal(plain []byte, bound string) []byte {
	nonce := make([]byte, 12, 12+len(plain)+16)
	_, _ = rand.Read(nonce)
	return f.aead.Seal(nonce, nonce, plain, []byte(bound))
}

type floorToken struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_at,omitempty"`
}

func (f *floor) fill(users []string, token string) error {
	t, err := f.durable.Begin()
	if err != nil {
		return err
	}
	for _, u := range users {
		plain, _ := json.Marshal(floorToken{Access: token, Refresh: "rt", Type: "Bearer"})
		if _, err := t.Stmt(f.put).Exec(u, "box", f.seal(plain, u), 1); err != nil {
			return err
		}
	}
	return t.Commit()
}

func (f *floor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", f.token)
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = views.List(f.page).Render(r.Context(), w)
	})
	mux.HandleFunc("GET /start", f.begin)
	mux.HandleFunc("GET /callback", f.callback)
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>Connected</title><p>Connected.</p>")
	})
	return mux
}

func (f *floor) token(w http.ResponseWriter, r *http.Request) {
	user := r.Header.Get("X-User")
	var sealed []byte
	var expires int64
	if err := f.get.QueryRowContext(r.Context(), user, "box").Scan(&sealed, &expires); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	plain, err := f.aead.Open(nil, sealed[:12], sealed[12:], []byte(user))
	var t floorToken
	if err == nil {
		err = json.Unmarshal(plain, &t)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	t.Refresh, t.Expires = "", expires
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(t)
}

func (f *floor) begin(w http.ResponseWriter, r *http.Request) {
	state, verifier := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	if _, err := f.start.ExecContext(r.Context(), state, verifier, r.Header.Get("X-User")); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {"acme"}, "redirect_uri": {"http://" + r.Host + "/callback"}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	w.Header().Set("Location", f.provider+"/box/authorize?"+q.Encode())
	w.WriteHeader(http.StatusFound)
}

func (f *floor) callback(w http.ResponseWriter, r *http.Request) {
	ctx := context.WithoutCancel(r.Context())
	var verifier, owner string
	if err := f.take.QueryRowContext(ctx, r.FormValue("state")).Scan(&verifier, &owner); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	resp, err := floorClient.PostForm(f.provider+"/box/token", url.Values{"grant_type": {"authorization_code"}, "code": {r.FormValue("code")},
		"client_id": {"acme"}, "client_secret": {"s"}, "code_verifier": {verifier}, "redirect_uri": {"http://" + r.Host + "/callback"}})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil {
		_, err = f.put.ExecContext(ctx, owner, "box", f.seal(body, owner), 1)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Location", "/done?"+strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusFound)
}

var floorClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
