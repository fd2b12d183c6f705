// A socket.io client that prints every event as a line; arguments: address, transport, token.
const { io } = require("socket.io-client");

const [url, transport, token] = process.argv.slice(2);
const socket = io(url, { transports: transport.split(","), auth: token ? { token } : {}, reconnection: false });
socket.on("connect", () => process.stdout.write(`connect ${socket.io.engine.transport.name}\n`));
socket.on("connect_error", (error) => process.stdout.write(`refused ${error.message}\n`));
socket.on("disconnect", (reason) => process.stdout.write(`disconnect ${reason}\n`));
socket.onAny((name, argument) => process.stdout.write(`${JSON.stringify([name, argument])}\n`));
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
