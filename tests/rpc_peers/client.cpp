// A client of rpc_server, with nothing but msgpack-cxx for the values: client PORT.
// It says what is wrong and ends with 1, or prints "done".

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <msgpack.hpp>

struct Answer {
    uint32_t id;
    msgpack::object_handle message;
    msgpack::object error;
    msgpack::object result;
};

class Connection {
public:
    explicit Connection(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
            throw std::runtime_error("cannot connect");
        }
    }

    ~Connection() { close(socket_); }

    template <typename... Params>
    uint32_t request(const std::string& method, const Params&... params) {
        msgpack::sbuffer buffer;
        msgpack::pack(buffer, std::make_tuple(uint8_t{0}, ++last_, method, std::make_tuple(params...)));
        send_all(buffer);
        return last_;
    }

    template <typename... Params>
    void notify(const std::string& method, const Params&... params) {
        msgpack::sbuffer buffer;
        msgpack::pack(buffer, std::make_tuple(uint8_t{2}, method, std::make_tuple(params...)));
        send_all(buffer);
    }

    Answer receive() {
        msgpack::object_handle handle;
        while (!unpacker_.next(handle)) {
            unpacker_.reserve_buffer(65536);
            ssize_t count = recv(socket_, unpacker_.buffer(), unpacker_.buffer_capacity(), 0);
            if (count <= 0) throw std::runtime_error("the connection has ended");
            unpacker_.buffer_consumed(static_cast<std::size_t>(count));
        }
        auto [type, id, error, result] =
            handle.get().as<std::tuple<uint8_t, uint32_t, msgpack::object, msgpack::object>>();
        if (type != 1) throw std::runtime_error("this is no response");
        return Answer{id, std::move(handle), error, result};
    }

    template <typename Result, typename... Params>
    Result call(const std::string& method, const Params&... params) {
        uint32_t id = request(method, params...);
        Answer answer = receive();
        if (answer.id != id || !answer.error.is_nil()) throw std::runtime_error(method + " has failed");
        return answer.result.template as<Result>();
    }

private:
    void send_all(const msgpack::sbuffer& buffer) {
        for (std::size_t sent = 0; sent < buffer.size();) {
            ssize_t count = send(socket_, buffer.data() + sent, buffer.size() - sent, 0);
            if (count <= 0) throw std::runtime_error("cannot send");
            sent += static_cast<std::size_t>(count);
        }
    }

    int socket_;
    uint32_t last_ = 0;
    msgpack::unpacker unpacker_;
};

#define EXPECT(condition) \
    if (!(condition)) throw std::runtime_error("line " + std::to_string(__LINE__) + ": " #condition)

template <typename Value>
void comes_back(Connection& server, const Value& value) {
    EXPECT(server.call<Value>("echo", value) == value);
}

int main(int, char** arguments) try {
    Connection server(static_cast<uint16_t>(std::atoi(arguments[1])));

    comes_back(server, true);
    comes_back(server, std::numeric_limits<int64_t>::min());
    comes_back(server, std::numeric_limits<uint64_t>::max());
    comes_back(server, 1.5f);
    comes_back(server, -2.5);
    comes_back(server, std::string(100'000, 'x'));
    comes_back(server, std::vector<char>(70'000, '\xff'));
    comes_back(server, std::map<int, std::vector<std::string>>{{-1, {"a", ""}}, {1, {}}});

    EXPECT(server.call<int>("add", 40, 2) == 42);
    for (int number = 0; number < 100; ++number) server.notify("bump", number);
    EXPECT(server.call<int>("count") == 4950);

    server.request("fail", std::string("no luck"));
    Answer failed = server.receive();
    EXPECT((failed.error.as<std::tuple<int, std::string>>() == std::make_tuple(1, std::string("no luck"))));
    EXPECT(failed.result.is_nil());

    // The slow one is asked for first and answered last.
    uint32_t slow = server.request("sleep", 200);
    std::map<uint32_t, int> sums;
    for (int number = 0; number < 200; ++number) sums[server.request("add", number, number)] = 2 * number;
    while (!sums.empty()) {
        Answer answer = server.receive();
        EXPECT(sums.count(answer.id) == 1 && answer.result.as<int>() == sums[answer.id]);
        sums.erase(answer.id);
    }
    EXPECT(server.receive().id == slow);
    std::cout << "done" << std::endl;
    return 0;
} catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
