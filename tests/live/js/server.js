// A socket.io server that plays lines from standard input as events: it keeps what a client misses for two minutes.
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, { connectionStateRecovery: { maxDisconnectionDuration: 120000 }, pingInterval: 1000 });

io.on("connection", (socket) => {
  process.stdout.write(`connected ${socket.recovered} ${socket.handshake.auth.token ?? ""}\n`);
});

http.listen(0, "127.0.0.1", () => {
  process.stdout.write(`port ${http.address().port}\n`);
  let rest = "";
  process.stdin.on("data", (data) => {
    const lines = (rest + data).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const [name, argument] = JSON.parse(line);
      io.emit(name, argument);
    }
  });
  process.stdin.on("end", () => process.exit(0));
});
