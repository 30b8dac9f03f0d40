package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"

	"github.com/pion/webrtc/v3"
)

// newCertificate makes the one that all peers share, as ours do.
func newCertificate() webrtc.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	certificate, err := webrtc.GenerateCertificate(key)
	must(err)
	return *certificate
}
