"""A PJSIP phone for one call: answers, or calls; plays one WAV file and records another; prints one JSON object a line.

pj_phone.py PORT CODEC PLAY RECORD [CALL-URI] ; a line on stdin is a command: hangup, hold, resume, dtmf DIGITS, stats,
say TEXT (in the call), page URI TEXT (outside of it). It follows a transfer. In the environment: PJ_ADDRESS; PJ_VAD=1 sends
nothing in pauses; PJ_DROP=N loses N of 100 RTP packets that it sends, and of those that come."""
import json
import os
import sys
import threading

import pjsua2 as pj

port, codec, play, record = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
target = sys.argv[5] if len(sys.argv) > 5 else None
address = os.environ["PJ_ADDRESS"]
drop = int(os.environ.get("PJ_DROP", "0"))


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Call(pj.Call):
    player = recorder = None

    def onCallState(self, prm):
        info = self.getInfo()
        say("state", state=info.stateText, code=info.lastStatusCode)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            over.set()

    def onCallMediaState(self, prm):
        info = self.getInfo()  # its vector lives no longer than this name
        for media in info.media:
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            say("media", status=media.status)
            if media.status != pj.PJSUA_CALL_MEDIA_ACTIVE or self.player:
                continue
            audio, stream = self.getAudioMedia(media.index), self.getStreamInfo(media.index)
            say("codec", name=f"{stream.codecName}/{stream.codecClockRate}", tx=stream.txPt, rx=stream.rxPt,
                events_tx=stream.audTxEventPt, events_rx=stream.audRxEventPt)
            self.player, self.recorder = pj.AudioMediaPlayer(), pj.AudioMediaRecorder()
            self.player.createPlayer(play, pj.PJMEDIA_FILE_NO_LOOP)
            self.recorder.createRecorder(record)
            self.player.startTransmit(audio)
            audio.startTransmit(self.recorder)

    def onDtmfDigit(self, prm):
        say("dtmf", digit=prm.digit)

    def onInstantMessage(self, prm):
        say("message in call", text=prm.msgBody)

    def onCallTransferRequest(self, prm):
        say("transfer", to=prm.dstUri)
        calls.append(Call(account))
        prm.newCall = calls[-1]


class Account(pj.Account):
    def onIncomingCall(self, prm):
        call = Call(self, prm.callId)
        calls.append(call)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)

    def onInstantMessage(self, prm):
        say("message", text=prm.msgBody, sender=prm.fromUri)

    def onInstantMessageStatus(self, prm):
        say("message answered", code=int(prm.code))


def command(line):
    word, _, rest = line.strip().partition(" ")
    if word == "hangup":
        calls[0].hangup(pj.CallOpParam())
    elif word == "hold":
        calls[0].setHold(pj.CallOpParam(True))
    elif word == "resume":
        again = pj.CallOpParam(True)
        again.opt.flag = pj.PJSUA_CALL_UNHOLD
        calls[0].reinvite(again)
    elif word == "dtmf":
        calls[0].dialDtmf(rest)
    elif word == "stats":
        stat = calls[0].getStreamStat(0)
        rtcp, jbuf = stat.rtcp, stat.jbuf
        sent, came = rtcp.txStat, rtcp.rxStat
        say("stats", sent=sent.pkt, sent_lost=sent.loss, sent_jitter_ms=sent.jitterUsec.last / 1000, reports=sent.updateCount,
            came=came.pkt, came_lost=came.loss, came_jitter_ms=came.jitterUsec.last / 1000,
            round_trips=rtcp.rttUsec.n, round_trip_ms=rtcp.rttUsec.last / 1000, concealed=jbuf.lost, empty=jbuf.empty)
    elif word == "say":
        calls[0].sendInstantMessage(text(rest))
    elif word == "page":
        uri, _, rest = rest.partition(" ")
        settings = pj.BuddyConfig()
        settings.uri = uri
        buddies.append(pj.Buddy())
        buddies[-1].create(account, settings)
        buddies[-1].sendInstantMessage(text(rest))


def text(content):
    message = pj.SendInstantMessageParam()
    message.content = content
    return message


calls, buddies, over, lines = [], [], threading.Event(), []
threading.Thread(target=lambda: lines.extend(iter(sys.stdin.readline, "")), daemon=True).start()

endpoint = pj.Endpoint()
endpoint.libCreate()
config = pj.EpConfig()
config.uaConfig.threadCnt = 0
config.logConfig.level = config.logConfig.consoleLevel = 0
config.medConfig.noVad = os.environ.get("PJ_VAD") != "1"
config.medConfig.txDropPct = config.medConfig.rxDropPct = drop
config.medConfig.ecTailLen = 0
endpoint.libInit(config)
endpoint.audDevManager().setNullDev()
for known in endpoint.codecEnum2():
    endpoint.codecSetPriority(known.codecId, 255 if known.codecId.lower().startswith(codec) else 0)
transport = pj.TransportConfig()
transport.port, transport.boundAddress, transport.publicAddress = port, address, address
endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
endpoint.libStart()
settings = pj.AccountConfig()
settings.idUri = f"sip:pj@{address}:{port}"
settings.mediaConfig.transportConfig.boundAddress = address
settings.mediaConfig.transportConfig.publicAddress = address
account = Account()
account.create(settings)
say("ready")
if target:
    calls.append(Call(account))
    calls[0].makeCall(target, pj.CallOpParam(True))
while not over.is_set():
    endpoint.libHandleEvents(10)
    if lines:
        try:
            command(lines[0])
            lines.pop(0)
        except pj.Error:  # the re-INVITE before is not over yet: once more in a moment
            endpoint.libHandleEvents(50)
for _ in range(20):
    endpoint.libHandleEvents(10)
for call in calls:
    call.player = call.recorder = None
calls.clear()
buddies.clear()
account.shutdown()
endpoint.libDestroy()  # writes the header of the recording
say("end")
os._exit(0)  # the wheel destroys its objects after the library otherwise, and aborts
