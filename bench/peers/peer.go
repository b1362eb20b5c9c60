// The Go peers: net/http, a goroutine an echo connection, and net/rpc.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

var body = []byte("Hello, World!")

func main() {
	if os.Args[1] == "rpc-client" {
		callRpc(os.Args[3:])
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	if os.Args[2] == "go-http" {
		panic(http.Serve(listener, http.HandlerFunc(plaintext)))
	}
	if os.Args[2] == "go-rpc" {
		serveRpc(listener)
		return
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go echo(conn)
	}
}

func plaintext(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header["Content-Type"] = []string{"text/plain"}
	header["Server"] = []string{"bench"}
	header["Content-Length"] = []string{"13"}
	w.Write(body)
}

func echo(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}
