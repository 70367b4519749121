"""A PJSIP phone that follows a REFER, as office phones do: answers one call, and calls whom it is told to instead.

transferee.py PORT PLAY PROXY-PORT ; prints one word a line: ready, answered, referred URI, talking, end"""
import os
import sys
import time

import pjsua2 as pj

port, play = int(sys.argv[1]), sys.argv[2]
calls, state = [], {"first": True, "over": False}


def say(*words):
    print(*words, flush=True)


class Call(pj.Call):
    player = None

    def onCallState(self, prm):
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            say("answered" if self is calls[0] else "talking")
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED and (self is not calls[0] or len(calls) == 1):
            state["over"] = True

    def onCallMediaState(self, prm):
        info = self.getInfo()  # its vector lives no longer than this name
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE and not self.player:
                self.player = pj.AudioMediaPlayer()
                self.player.createPlayer(play)
                self.player.startTransmit(self.getAudioMedia(media.index))

    def onCallTransferRequest(self, prm):
        say("referred", prm.dstUri)
        calls.append(Call(account))  # it lives as long as this list, not as prm
        prm.newCall = calls[-1]
        prm.statusCode = 202


class Account(pj.Account):
    def onIncomingCall(self, prm):
        calls.append(Call(self, prm.callId))
        answer = pj.CallOpParam()
        answer.statusCode = 200
        calls[0].answer(answer)


endpoint = pj.Endpoint()
endpoint.libCreate()
config = pj.EpConfig()
config.uaConfig.threadCnt = 0
config.logConfig.level = config.logConfig.consoleLevel = 0
config.medConfig.noVad = True
config.medConfig.ecTailLen = 0
endpoint.libInit(config)
endpoint.audDevManager().setNullDev()
for known in endpoint.codecEnum2():
    endpoint.codecSetPriority(known.codecId, 255 if known.codecId.startswith("PCMU") else 0)
transport = pj.TransportConfig()
transport.port, transport.boundAddress, transport.publicAddress = port, "127.0.0.1", "127.0.0.1"
endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
endpoint.libStart()
settings = pj.AccountConfig()
settings.idUri = f"sip:transferee@127.0.0.1:{port}"
settings.mediaConfig.transportConfig.boundAddress = settings.mediaConfig.transportConfig.publicAddress = "127.0.0.1"
settings.mediaConfig.transportConfig.port = port + 1
settings.sipConfig.proxies.append(f"sip:127.0.0.1:{sys.argv[3]};lr")
account = Account()
account.create(settings)
say("ready")
until = time.monotonic() + 60
while not state["over"] and time.monotonic() < until:
    endpoint.libHandleEvents(10)
say("end")
os._exit(0)  # the wheel destroys its objects after the library otherwise, and aborts
