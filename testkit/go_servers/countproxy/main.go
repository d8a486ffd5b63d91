// Countproxy forwards to one registry from a free port of the loopback interface, which it prints, and counts requests
// and connections. For each line on its standard input it prints the counts as JSON, and begins again at zero.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// counts are what happened since the last line on the standard input.
type counts struct {
	Connections int            `json:"connections"`
	Requests    map[string]int `json:"requests"`
	CPUSeconds  float64        `json:"cpu_seconds"`
}

type counter struct {
	mutex sync.Mutex
	now   counts
	cpu   float64
}

func main() {
	upstream := flag.String("upstream", "", "address of the registry, such as http://127.0.0.1:5000")
	delay := flag.Duration("delay", 0, "added to each request")
	connectDelay := flag.Duration("connect-delay", 0, "added to each new connection")
	certificate := flag.String("cert", "", "file of a certificate; HTTPS is served with it")
	key := flag.String("key", "", "file of the certificate's private key")
	flag.Parse()

	registry, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	counter := &counter{now: counts{Requests: map[string]int{}}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	scheme := "http"
	if *certificate != "" {
		scheme = "https"
	}
	proxy := newProxy(registry, scheme+"://"+listener.Addr().String())
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			counter.count(r.Method)
			time.Sleep(*delay)
			proxy.ServeHTTP(w, r)
		}),
		ConnState: counter.watch,
		// An empty map turns HTTP/2 off: it has one connection, and peers without it would look worse than they are.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	fmt.Println(listener.Addr())
	go counter.report(os.Stdin)
	slow := &slowListener{Listener: listener, delay: *connectDelay}
	if *certificate != "" {
		log.Fatal(server.ServeTLS(slow, *certificate, *key))
	}
	log.Fatal(server.Serve(slow))
}

// newProxy keeps connections to the registry, and leads Location back here.
func newProxy(registry *url.URL, own string) *httputil.ReverseProxy {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DisableCompression = true
	transport.MaxIdleConnsPerHost = 256
	transport.WriteBufferSize = 1 << 18
	transport.ReadBufferSize = 1 << 18
	return &httputil.ReverseProxy{
		Transport:  transport,
		BufferPool: &buffers{},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(registry)
			r.Out.Host = registry.Host
		},
		ModifyResponse: func(response *http.Response) error {
			location := response.Header.Get("Location")
			if rest, found := strings.CutPrefix(location, registry.Scheme+"://"+registry.Host+"/"); found {
				response.Header.Set("Location", own+"/"+rest)
			}
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != context.Canceled {
				http.Error(w, err.Error(), http.StatusBadGateway)
			}
		},
	}
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if kept, found := b.pool.Get().(*[]byte); found {
		return *kept
	}
	return make([]byte, 1<<18)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

// slowListener delays the first byte of each connection, as the round trips of TCP and TLS do.
type slowListener struct {
	net.Listener
	delay time.Duration
}

func (l *slowListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil || l.delay == 0 {
		return connection, err
	}
	return &slowConnection{Conn: connection, ready: time.Now().Add(l.delay)}, nil
}

type slowConnection struct {
	net.Conn
	ready time.Time
}

func (c *slowConnection) Read(buffer []byte) (int, error) {
	time.Sleep(time.Until(c.ready))
	return c.Conn.Read(buffer)
}

func (c *counter) watch(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.now.Connections++
	}
}

func (c *counter) count(method string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.now.Requests[method]++
}

// report ends the program when its standard input does.
func (c *counter) report(lines io.Reader) {
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		text, err := json.Marshal(c.take())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(text))
	}
	os.Exit(0)
}

func (c *counter) take() counts {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	taken, cpu := c.now, cpuSeconds()
	taken.CPUSeconds, c.cpu = cpu-c.cpu, cpu
	c.now = counts{Requests: map[string]int{}}
	return taken
}

func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}
