// Command thirdparty runs the example OpenID provider of github.com/zitadel/oidc for the
// end-to-end tests: their protocol, storage, login form and users, with clients for the
// redirect URIs of a test. It is a module of its own, so that the program's stays small.
//
//	thirdparty REDIRECT_URI...
//
// It listens on a free port of 127.0.0.1 and prints its issuer. Both clients may use
// every redirect URI:
//
//   - "web" has the secret "web-secret"
//   - "native" has none, and must use PKCE
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, redirectURIs []string) error {
	if len(redirectURIs) == 0 {
		return errors.New("name the redirect URIs")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// Their example's issuer ends in a slash, which no origin does. Without iss in the
	// callback the origin is all that a client without discovery knows of an issuer.
	issuer := "http://" + l.Addr().String()
	storage.RegisterClients(
		storage.WebClient("web", "web-secret", redirectURIs...),
		storage.NativeClient("native", redirectURIs...),
	)
	users := storage.NewUserStore(issuer)
	server := &http.Server{
		Handler:           exampleop.SetupServer(issuer, storage.NewStorage(users), nil, false),
		ReadHeaderTimeout: 10 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Println(issuer)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
