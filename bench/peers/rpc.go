package main

import (
	"bufio"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Echo is a service of net/rpc, with gob.
type Echo struct{}

// Echo gives back what it gets.
func (Echo) Echo(text string, answer *string) error {
	*answer = text
	return nil
}

func serveRpc(listener net.Listener) {
	server := rpc.NewServer()
	if err := server.Register(Echo{}); err != nil {
		panic(err)
	}
	server.Accept(listener)
}

// callRpc takes turns: "rpc-client go-rpc ADDRESS CONNECTIONS FLIGHTS call", then a line of milliseconds for each.
func callRpc(words []string) {
	connections, _ := strconv.Atoi(words[1])
	flights, _ := strconv.Atoi(words[2])
	clients := make([]*rpc.Client, connections)
	for i := range clients {
		// Go sets TCP_NODELAY by itself.
		client, err := rpc.Dial("tcp", words[0])
		if err != nil {
			panic(err)
		}
		clients[i] = client
	}
	fmt.Println("ready")
	turns := bufio.NewScanner(os.Stdin)
	for turns.Scan() {
		millis, err := strconv.Atoi(strings.TrimSpace(turns.Text()))
		if err != nil {
			panic(err)
		}
		began := time.Now()
		completed := turn(clients, flights, began.Add(time.Duration(millis)*time.Millisecond))
		fmt.Println(completed, time.Since(began).Nanoseconds())
	}
}

func turn(clients []*rpc.Client, flights int, end time.Time) int {
	var calls sync.WaitGroup
	counts := make([]int, len(clients)*flights)
	for i := range counts {
		calls.Add(1)
		go func(i int) {
			defer calls.Done()
			for time.Now().Before(end) {
				var answer string
				if err := clients[i%len(clients)].Call("Echo.Echo", "0123456789", &answer); err != nil {
					panic(err)
				}
				if answer != "0123456789" {
					panic(answer)
				}
				counts[i]++
			}
		}(i)
	}
	calls.Wait()
	completed := 0
	for _, count := range counts {
		completed += count
	}
	return completed
}
