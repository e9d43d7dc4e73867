package events

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"patchbay/connect"
	"patchbay/vault"
)

// DeliveryStore keeps what is sent to webhooks. store.Store is one.
type DeliveryStore interface {
	TakeDeliveries(ctx context.Context, now, until time.Time, limit int) ([]connect.Delivery, error)
	EndDelivery(ctx context.Context, d connect.Delivery) error
}

// Webhooks tells apps' back ends of their connections, by the rules of Standard Webhooks
// (standardwebhooks.com): signed, tried again for a little more than three days, the
// message's id the same each time.
type Webhooks struct {
	Store DeliveryStore
	App   func(ctx context.Context, id string) (*connect.App, error)
	HTTP  *http.Client // the guarded one
	Log   *slog.Logger
	Done  func(app, outcome string) // is told of each try; nil tells nobody

	once sync.Once
	wake chan struct{}
}

// retries are the waits between tries, each made longer by up to a fifth at random.
var retries = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	deliveriesAtOnce = 8
	deliveryHold     = time.Minute // after a crash, a delivery is tried again
)

func (w *Webhooks) woken() chan struct{} {
	w.once.Do(func() { w.wake = make(chan struct{}, 1) })
	return w.wake
}

// Take is a reader of events: it looks at once for what has to be sent.
func (w *Webhooks) Take(_ context.Context, e connect.Event) {
	if len(e.Deliveries) == 0 {
		return
	}
	select {
	case w.woken() <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends.
func (w *Webhooks) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := w.deliver(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("webhooks wait for the database", "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.woken():
		}
	}
}

// deliver sends what is due, and returns when it is sent.
func (w *Webhooks) deliver(ctx context.Context) error {
	for ctx.Err() == nil {
		now := time.Now()
		due, err := w.Store.TakeDeliveries(ctx, now, now.Add(deliveryHold), deliveriesAtOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		var all sync.WaitGroup
		for _, d := range due {
			all.Go(func() { w.try(context.WithoutCancel(ctx), d) })
		}
		all.Wait()
	}
	return nil
}

func (w *Webhooks) try(ctx context.Context, d connect.Delivery) {
	status, wait, err := w.send(ctx, &d)
	now := time.Now()
	switch {
	case err == nil && status >= 200 && status <= 299:
		d.State, d.Answer, d.EndedAt = connect.DeliveryArrived, strconv.Itoa(status), now
	case err == errNoWebhook || status == http.StatusGone || d.Attempts > len(retries):
		d.State, d.EndedAt = connect.DeliveryGivenUp, now
	default:
		d.NextAt = now.Add(max(wait, retries[d.Attempts-1]+rand.N(retries[d.Attempts-1]/5)))
	}
	switch {
	case err != nil:
		d.Answer = err.Error()
	case d.State != connect.DeliveryArrived:
		d.Answer = "answered " + strconv.Itoa(status)
	}
	outcome := string(d.State)
	if d.State == connect.DeliveryWaiting {
		outcome = "failed"
	}
	if w.Done != nil {
		w.Done(d.App, outcome)
	}
	w.Log.LogAttrs(ctx, levelOf(d.State), "webhook."+outcome, slog.String("app", d.App), slog.String("message", d.ID),
		slog.String("kind", string(d.Kind)), slog.Int("attempt", d.Attempts), slog.String("answer", d.Answer))
	if err := w.Store.EndDelivery(ctx, d); err != nil { // it will be sent once more, with the same id
		w.Log.Warn("the outcome of a webhook was not stored", "message", d.ID, "cause", err)
	}
}

func levelOf(s connect.DeliveryState) slog.Level {
	if s == connect.DeliveryGivenUp {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

var errNoWebhook = fmt.Errorf("the apps file names this address no more")

// send makes one try. wait is how long the receiver asks to wait.
func (w *Webhooks) send(ctx context.Context, d *connect.Delivery) (status int, wait time.Duration, err error) {
	app, err := w.App(ctx, d.App)
	if err != nil {
		return 0, 0, err
	}
	var key []byte
	for _, hook := range app.Webhooks {
		if hook.URL == d.URL {
			key, err = vault.WebhookKey(hook.Secret)
		}
	}
	if err != nil {
		return 0, 0, err
	}
	if key == nil {
		return 0, 0, errNoWebhook
	}
	now := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader([]byte(d.Body)))
	if err != nil {
		return 0, 0, err
	}
	req.GetBody = nil // what was sent is not sent again behind our back
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "patchbay")
	req.Header.Set("Webhook-Id", d.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", vault.SignWebhook(key, d.ID, now, []byte(d.Body)))
	resp, err := w.HTTP.Do(req)
	if err != nil {
		return 0, 0, fmt.Errorf("no answer: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		wait = min(time.Duration(seconds)*time.Second, time.Hour)
	}
	return resp.StatusCode, wait, nil
}
