/** The page at `/`: the phone, and nothing that the element cannot do by itself. */
import './web-phone-element.js';
