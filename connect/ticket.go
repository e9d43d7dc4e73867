package connect

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// A start ticket is what a page prints beside its Connect button. It says which
// connector may be begun, for whom (the browser session, frame or link whose page it
// stands on) and until when, and it is authenticated rather than stored, so that
// showing a page writes nothing. Using it writes its nonce down, which makes it work
// once.
//
//	1 byte kind · 4 bytes expiry · 10 bytes nonce · 16 bytes owner · app, NUL, connector · 16 bytes MAC
type ticket struct {
	kind      byte
	expires   time.Time
	nonce     []byte
	owner     []byte // of a browser session: 16 bytes of its hash; of a connect session: its id
	app       string
	connector string
}

const (
	ticketSession byte = 's'
	ticketLink    byte = 'l'
	ticketFrame   byte = 'f' // of a page that was served into an iframe
	ticketEmbed   byte = 'e' // of the same page where nothing said that it is in one
	ticketTrial   byte = 'b' // of a builder's page: to try, and to keep nothing
	ticketLive    byte = 'v' // not for a start: a frame's leave to ask what changed
	ticketLiveNot byte = 'w' // the same of a page that is not known to be in a frame

	ticketLife   = 15 * time.Minute
	ticketMAC    = 16
	ticketHead   = 1 + 4 + 10 + 16
	maxTicketLen = 512
)

// SessionStartTicket prints a ticket for a connector on a page of the browser session.
func (s *Service) SessionStartTicket(b *BrowserSession, connector string) string {
	return s.printTicket(ticketSession, b.Hash, b.ExpiresAt, b.App, connector)
}

// LinkStartTicket prints a ticket on the start page of a link.
func (s *Service) LinkStartTicket(cs *ConnectSession) string {
	return s.printTicket(ticketLink, rawID(cs.ID), cs.ExpiresAt, cs.App, cs.Connectors[0])
}

// FrameStartTicket prints a ticket on a page of an embed session.
func (s *Service) FrameStartTicket(v *FrameView, connector string) string {
	kind := ticketEmbed
	if v.Framed {
		kind = ticketFrame
	}
	return s.printTicket(kind, rawID(v.Session.ID), v.Session.ExpiresAt, v.Session.App, connector)
}

func (s *Service) printTicket(kind byte, owner []byte, ownerExpires time.Time, app, connector string) string {
	expires := s.now().Add(ticketLife)
	if ownerExpires.Before(expires) {
		expires = ownerExpires
	}
	b := make([]byte, 15, ticketHead+len(app)+len(connector)+1+ticketMAC)
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:5], uint32(expires.Unix()))
	_, _ = rand.Read(b[5:15])
	b = append(b, owner[:16]...)
	b = append(b, app...)
	b = append(b, 0)
	b = append(b, connector...)
	b = append(b, s.Sealer.MAC("start-ticket", b)[:ticketMAC]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// readTicket authenticates a ticket. It does not say whether it was used. The ticket
// comes along with the error where it is ours and too old.
func (s *Service) readTicket(text string) (ticket, error) {
	if len(text) > maxTicketLen {
		return ticket{}, errTicketDead
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < ticketHead+3+ticketMAC {
		return ticket{}, errTicketDead
	}
	body, mac := b[:len(b)-ticketMAC], b[len(b)-ticketMAC:]
	if !s.Sealer.CheckMAC("start-ticket", body, mac) {
		return ticket{}, errTicketDead
	}
	app, connector, ok := bytes.Cut(body[ticketHead:], []byte{0})
	if !ok {
		return ticket{}, errTicketDead
	}
	t := ticket{
		kind:    body[0],
		expires: time.Unix(int64(binary.BigEndian.Uint32(body[1:5])), 0).UTC(),
		nonce:   body[5:15], owner: body[15:31],
		app: string(app), connector: string(connector),
	}
	if !s.now().Before(t.expires) {
		return t, errTicketDead
	}
	return t, nil
}

const connectSessionPrefix = "cs_"

// rawID returns the 16 bytes that newID made an identifier of.
func rawID(id string) []byte {
	raw := make([]byte, 16)
	_, _ = base64.RawURLEncoding.Decode(raw, []byte(id[len(connectSessionPrefix):]))
	return raw
}

func sessionID(raw []byte) string {
	return connectSessionPrefix + base64.RawURLEncoding.EncodeToString(raw)
}
