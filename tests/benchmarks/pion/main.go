// The pion client of bench_media: N peer connections with one Opus stream each way, 50 packets a second.
//
// Speaks JSON lines: writes {"up": true} before it makes the first peer, {"offer": number, "sdp": ...}, reads
// {"answer": number, "sdp": ...}; writes {"ready": true} when every peer has heard something, and
// {"sent": n, "received": n} for each {"count": true}. With "each-other" the peers talk in pairs, and no offer is
// written. Ends with its standard input. The packets' bytes come from a file: two bytes of length, big endian, then the
// payload.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"
)

type line struct {
	Offer  *int   `json:"offer,omitempty"`
	Answer *int   `json:"answer,omitempty"`
	SDP    string `json:"sdp,omitempty"`
	Up     bool   `json:"up,omitempty"`
	Ready  bool   `json:"ready,omitempty"`
	Count  bool   `json:"count,omitempty"`
}

var sent, received, heard int64

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readClip(path string) [][]byte {
	data, err := os.ReadFile(path)
	must(err)
	var packets [][]byte
	for len(data) > 2 {
		size := int(binary.BigEndian.Uint16(data))
		packets = append(packets, data[2:2+size])
		data = data[2+size:]
	}
	return packets
}

func newAPI(address string) *webrtc.API {
	media := &webrtc.MediaEngine{}
	must(media.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2},
		PayloadType:        111,
	}, webrtc.RTPCodecTypeAudio))
	interceptors := &interceptor.Registry{}
	must(webrtc.RegisterDefaultInterceptors(media, interceptors))
	settings := webrtc.SettingEngine{}
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetIPFilter(func(ip net.IP) bool { return ip.String() == address })
	settings.SetICEMulticastDNSMode(0)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors),
		webrtc.WithSettingEngine(settings))
}

func main() {
	eachOther := len(os.Args) == 5 && os.Args[4] == "each-other"
	if len(os.Args) != 4 && !eachOther {
		fmt.Fprintln(os.Stderr, "usage: pion ADDRESS COUNT CLIP [each-other]")
		os.Exit(2)
	}
	count, err := strconv.Atoi(os.Args[2])
	must(err)
	packets := readClip(os.Args[3])
	api := newAPI(os.Args[1])
	certificate := newCertificate()

	var output sync.Mutex
	write := func(value interface{}) {
		output.Lock()
		defer output.Unlock()
		must(json.NewEncoder(os.Stdout).Encode(value))
	}
	write(line{Up: true})
	peers := make([]*webrtc.PeerConnection, count)
	tracks := make([]*webrtc.TrackLocalStaticRTP, count)
	for number := range peers {
		peer, err := api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{certificate}})
		must(err)
		track, err := webrtc.NewTrackLocalStaticRTP(
			webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "pion")
		must(err)
		sender, err := peer.AddTrack(track)
		must(err)
		go func() {
			buffer := make([]byte, 1500)
			for {
				if _, _, err := sender.Read(buffer); err != nil {
					return
				}
			}
		}()
		peer.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
			buffer := make([]byte, 1500)
			for first := true; ; first = false {
				if _, _, err := remote.Read(buffer); err != nil {
					return
				}
				atomic.AddInt64(&received, 1)
				if first && atomic.AddInt64(&heard, 1) == int64(count) {
					write(line{Ready: true})
				}
			}
		})
		peers[number], tracks[number] = peer, track
	}
	go func() {
		for number, peer := range peers {
			if eachOther && number%2 == 1 {
				continue // was called
			}
			offer, err := peer.CreateOffer(nil)
			must(err)
			described := describe(peer, offer)
			if eachOther {
				callee := peers[number+1]
				must(callee.SetRemoteDescription(described))
				answer, err := callee.CreateAnswer(nil)
				must(err)
				must(peer.SetRemoteDescription(describe(callee, answer)))
				go talk(tracks[number], packets, uint16(number))
				go talk(tracks[number+1], packets, uint16(number+1))
				continue
			}
			mine := number
			write(line{Offer: &mine, SDP: described.SDP})
		}
	}()
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<20)
	for input.Scan() {
		var said line
		must(json.Unmarshal(input.Bytes(), &said))
		if said.Count {
			write(map[string]int64{"sent": atomic.LoadInt64(&sent), "received": atomic.LoadInt64(&received)})
			continue
		}
		number := *said.Answer
		must(peers[number].SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: said.SDP}))
		go talk(tracks[number], packets, uint16(number))
	}
}

// describe takes a description as the peer's own; returns it with all candidates.
func describe(peer *webrtc.PeerConnection, own webrtc.SessionDescription) webrtc.SessionDescription {
	gathered := webrtc.GatheringCompletePromise(peer)
	must(peer.SetLocalDescription(own))
	<-gathered
	return *peer.LocalDescription()
}

// talk sends a packet every 20 ms, as an application of pion does.
func talk(track *webrtc.TrackLocalStaticRTP, packets [][]byte, sequence uint16) {
	packet := rtp.Packet{Header: rtp.Header{Version: 2}}
	ticker := time.NewTicker(20 * time.Millisecond)
	for range ticker.C {
		sequence++
		packet.SequenceNumber = sequence
		packet.Timestamp += 960
		packet.Payload = packets[int(sequence)%len(packets)]
		if track.WriteRTP(&packet) == nil {
			atomic.AddInt64(&sent, 1)
		}
	}
}
