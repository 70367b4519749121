//! Ctrl-C.

use crate::stage::{PCMU, Stage};
use std::time::Duration;

#[tokio::test]
async fn ctrl_c_hangs_up_unregisters_and_ends_within_five_seconds() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["ulaw"], PCMU).await;
    stage.gateway.interrupt();
    let (bye, from) = stage.peer.request("BYE").await;
    assert_eq!(bye.text("Call-ID"), call.dialog.call_id());
    stage.peer.respond(&bye, from, 200, "OK", None).await;
    let status = stage.gateway.wait_end(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}");
    assert_eq!(stage.peer.binding("alice"), None, "un-registered: {:?}", stage.peer.starts());
    stage.phone.expect_close(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn ctrl_c_ends_in_five_seconds_even_when_nobody_answers() {
    let mut stage = Stage::registered().await;
    stage.call_out(&["ulaw"], PCMU).await;
    stage.peer.set_policy(gateway_tests::sip_peer::RegistrarPolicy::Silent);
    stage.gateway.interrupt();
    stage.gateway.wait_end(Duration::from_secs(5)).await;
}
